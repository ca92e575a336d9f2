import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { lstat, readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { skillsError } from "../errors.ts";
import { CHECKSUM_FILE, RESULT_FILE } from "../guest-layout.ts";
import type { SkillManifest } from "../manifest.ts";
import { fitsPattern, pathProblem } from "../names.ts";

/** A file that a skill has left. */
export interface OutputFile {
  /** Its path in the output folder. */
  readonly name: string;
  readonly bytes: number;
  /** SHA-256 of its bytes, hexadecimal, computed on the host. */
  readonly sha256: string;
  /** Its media type where the skill's manifest says. */
  readonly type: string;
}

/** What a skill has left, all of it verified. */
export interface Outputs {
  readonly files: readonly OutputFile[];
  /** The content of `result.json`; undefined where there is none. */
  readonly result: unknown;
}

const RESULT_BYTES_MAX = 1 << 20;

const checksums = z.object({
  files: z.array(z.object({ name: z.string(), bytes: z.int(), sha256: z.string() })).max(10_000),
});

/**
 * Looks at a copy of a guest's output folder: nothing but files and folders, within the skill's limits, every promised
 * file there, and each with the checksum that the guest wrote down before it was copied.
 * @param folder on the host
 * @throws QZ_SKILLS_OUTPUT_INVALID
 */
export async function collectOutputs(manifest: SkillManifest, folder: string): Promise<Outputs> {
  const bad = (problem: string) =>
    skillsError("QZ_SKILLS_OUTPUT_INVALID", { skill: manifest.name, problem });
  const { outputBytes, outputFiles } = manifest.limits;
  const names: { name: string; bytes: number }[] = [];
  let total = 0;
  for (const entry of (await readdir(folder, { recursive: true })).sort()) {
    const name = entry.replaceAll("\\", "/");
    const status = await lstat(join(folder, entry));
    if (status.isDirectory()) continue;
    if (!status.isFile()) throw bad(`${JSON.stringify(name)} is neither a file nor a folder`);
    const problem = pathProblem(name);
    if (problem !== undefined) throw bad(`${JSON.stringify(name)}: ${problem}`);
    total += status.size;
    names.push({ name, bytes: status.size });
    if (names.length > outputFiles) throw bad(`it has more than ${outputFiles} files`);
    if (total > outputBytes) throw bad(`it has more than ${outputBytes} bytes`);
  }
  for (const { name } of manifest.outputs) {
    if (!names.some((file) => fitsPattern(name, file.name))) throw bad(`there is no ${name}`);
  }
  const listed = await readJson(folder, CHECKSUM_FILE, bad);
  const expected = listed === undefined ? undefined : checksums.safeParse(listed);
  if (expected?.success === false) throw bad(`${CHECKSUM_FILE} is not a list of files`);
  const byName = new Map(expected?.data.files.map((file) => [file.name, file.sha256]));
  const files: OutputFile[] = [];
  for (const { name, bytes } of names) {
    if (name === CHECKSUM_FILE) continue;
    const sha256 = await hashOf(join(folder, name));
    const promised = byName.get(name);
    if (promised !== undefined && promised !== sha256) throw bad(`${name} is not what was written`);
    const type = manifest.outputs.find((output) => fitsPattern(output.name, name))?.type;
    files.push({ name, bytes, sha256, type: type ?? "application/octet-stream" });
  }
  const gone = [...byName.keys()].find((name) => !files.some((file) => file.name === name));
  if (gone !== undefined) throw bad(`${JSON.stringify(gone)} is listed and not there`);
  return { files, result: await readJson(folder, RESULT_FILE, bad) };
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}

async function readJson(
  folder: string,
  name: string,
  bad: (problem: string) => Error,
): Promise<unknown> {
  const path = join(folder, name);
  const status = await lstat(path).catch(() => undefined);
  if (status === undefined) return undefined;
  if (status.size > RESULT_BYTES_MAX) throw bad(`${name} has more than ${RESULT_BYTES_MAX} bytes`);
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch {
    throw bad(`${name} is not JSON`);
  }
}
