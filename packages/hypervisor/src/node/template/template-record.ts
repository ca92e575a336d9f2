import { chmod, readFile, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { sha256OfFile, writeAtomically } from "@queztl/images/node";
import { z } from "zod";

/** A template's description in its folder; a folder without it is no template. */
const RECORD = "template.json";

const fileSchema = z.strictObject({
  /** Its path in the template's folder. */
  name: z.string().regex(/^([a-z0-9][a-z0-9.-]{0,62}\/)?[a-z0-9][a-z0-9.-]{0,62}$/),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** Together they stand for the checksum as long as nobody writes to the file. Strings: they are large. */
  size: z.string(),
  modifiedNs: z.string(),
  inode: z.string(),
});

type TemplateFile = z.infer<typeof fileSchema>;

const recordSchema = z.strictObject({
  format: z.literal(1),
  /** What it is a template of, for people. */
  name: z.string(),
  /** All that decides what is in it. */
  inputs: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  builtAt: z.iso.datetime(),
  buildSeconds: z.number(),
  files: z.array(fileSchema).min(1),
});

/** template.json: what a template is made of, and its files with their checksums. */
export type TemplateRecord = z.infer<typeof recordSchema>;

/** The record in a folder; undefined where there is none that makes sense. */
export async function readTemplateRecord(folder: string): Promise<TemplateRecord | undefined> {
  try {
    return recordSchema.parse(JSON.parse(await readFile(join(folder, RECORD), "utf8")));
  } catch {
    return undefined;
  }
}

/** Describes a folder's files, makes them read-only, and makes a template of it. */
export async function writeTemplateRecord(
  folder: string,
  names: readonly string[],
  about: Omit<TemplateRecord, "format" | "files">,
): Promise<TemplateRecord> {
  const files: TemplateFile[] = [];
  for (const name of names) {
    const path = join(folder, name);
    // Machines map it: what is written to it would change under them.
    await chmod(path, 0o444);
    files.push(await describe(path, name, await sha256OfFile(path)));
  }
  return await write(folder, { format: 1, ...about, files });
}

/**
 * Whether a template's files are what they were. Their sizes, inodes and times of change stand for their content;
 * where those differ, as in a copied folder, the checksums are compared, and kept with what stands for them now.
 */
export async function checkTemplate(
  folder: string,
  record: TemplateRecord,
  options: { readonly onRead?: () => void } = {},
): Promise<boolean> {
  const files: TemplateFile[] = [];
  let moved = false;
  for (const file of record.files) {
    const path = join(folder, file.name);
    try {
      const now = await describe(path, file.name, file.sha256);
      files.push(now);
      if (JSON.stringify(now) === JSON.stringify(file)) continue;
      if (now.size !== file.size) return false;
      options.onRead?.();
      if ((await sha256OfFile(path)) !== file.sha256) return false;
      moved = true;
    } catch {
      return false;
    }
  }
  if (moved) await write(folder, { ...record, files });
  return true;
}

/** Notes that a template is used now. */
export async function markUsed(folder: string): Promise<void> {
  const now = new Date();
  // Where it cannot be noted it is taken for less used than it is.
  await utimes(join(folder, RECORD), now, now).catch(() => undefined);
}

/** When it was last used, in milliseconds since 1970, and how many machines' folders hold its files. */
export async function useOf(
  folder: string,
  record: TemplateRecord,
): Promise<{ readonly usedAtMs: number; readonly links: number; readonly bytes: number }> {
  const { mtimeMs } = await stat(join(folder, RECORD));
  const stats = await Promise.all(record.files.map(({ name }) => stat(join(folder, name))));
  const links = Math.max(...stats.map(({ nlink }) => nlink)) - 1;
  return { usedAtMs: mtimeMs, links, bytes: stats.reduce((sum, s) => sum + s.blocks * 512, 0) };
}

async function describe(path: string, name: string, sha256: string): Promise<TemplateFile> {
  const { size, mtimeNs, ino } = await stat(path, { bigint: true });
  return { name, sha256, size: `${size}`, modifiedNs: `${mtimeNs}`, inode: `${ino}` };
}

async function write(folder: string, record: TemplateRecord): Promise<TemplateRecord> {
  await writeAtomically(join(folder, RECORD), `${JSON.stringify(record, undefined, 2)}\n`);
  return record;
}
