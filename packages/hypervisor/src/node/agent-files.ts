import { constants } from "node:fs";
import type { Stats } from "node:fs";
import {
  chmod,
  lstat,
  mkdir,
  open,
  readdir,
  readlink,
  rm,
  symlink,
  utimes,
} from "node:fs/promises";
import type { AgentClient } from "../agent/client.ts";
import type { CopyInOptions, CopyOutOptions, CopyResult, GuestEntry } from "../agent/files.ts";
import { decodeGuestString, encodeGuestString } from "../agent/records.ts";
import { hypervisorError } from "../errors.ts";

/** What was copied from a guest, and what was not. */
export interface CopyOutResult extends CopyResult {
  /** Paths that were left out, and why: links that lead out of the folder, files that the guest could not read. */
  readonly skipped: readonly { readonly path: string; readonly reason: string }[];
}

const CHUNK_BYTES = 64 * 1024;

/**
 * Copies a file, or all that is in a folder, of this computer into a folder of the guest: files, folders and links,
 * with their permissions and times.
 * @throws QZ_HYPERVISOR_FILE, and as `AgentClient.copyIn`
 */
export async function copyIntoGuest(
  client: AgentClient,
  hostPath: string,
  guestFolder: string,
  options: CopyInOptions = {},
): Promise<CopyResult> {
  return await client.copyIn(guestFolder, hostEntries(hostPath), options);
}

/**
 * Copies a file, or all that is in a folder, of the guest into a folder of this computer, which is made. The guest is not
 * trusted: nothing is written outside of the folder or through a link, no link is made that leads out of it, nothing gets
 * set-user-id. Files that are there are replaced.
 * @throws QZ_HYPERVISOR_FILE, and as `AgentClient.copyOut`
 */
export async function copyFromGuest(
  client: AgentClient,
  guestPath: string,
  hostFolder: string,
  options: CopyOutOptions = {},
): Promise<CopyOutResult> {
  await fileWork("folder", hostFolder, () => mkdir(hostFolder, { recursive: true }));
  const writer = new FolderWriter(hostFolder);
  for await (const entry of client.copyOut(guestPath, options)) {
    const { path, skipped } = entry;
    if (skipped !== undefined) writer.skipped.push({ path, reason: skipped });
    else await fileWork("file", path, () => writer.write(entry));
  }
  await writer.finish();
  return { entries: writer.entries, bytes: writer.bytes, skipped: writer.skipped };
}

type EntryOut =
  ReturnType<AgentClient["copyOut"]> extends AsyncGenerator<infer Entry> ? Entry : never;

/** Writes what a guest sent below one folder of this computer. */
class FolderWriter {
  readonly skipped: { path: string; reason: string }[] = [];
  entries = 0;
  bytes = 0;
  readonly #root: string;
  /** Folders that are known to be folders, not links to some. */
  readonly #folders = new Set<string>([""]);
  /** Set last: a folder that cannot be written to must not be in the way, nor its time change. */
  readonly #folderMetadata: EntryOut[] = [];

  constructor(root: string) {
    this.#root = root;
  }

  async write(entry: EntryOut): Promise<void> {
    const { path } = entry;
    // Names that mean something else here.
    if (process.platform === "win32" && /[\\:]/.test(path)) {
      this.skipped.push({ path, reason: "this computer cannot have that name" });
      return;
    }
    this.entries++;
    if (entry.type === "directory") {
      await this.#folder(path);
      this.#folderMetadata.push(entry);
      return;
    }
    await this.#folder(path.slice(0, Math.max(0, path.lastIndexOf("/"))));
    const place = this.#place(path);
    if (entry.type === "symlink") {
      if (leadsOut(path, entry.target)) {
        this.entries--;
        this.skipped.push({ path, reason: `the link leads out of the folder, to ${entry.target}` });
        return;
      }
      await rm(place, { force: true });
      await symlink(hostName(entry.target), place);
      return;
    }
    await rm(place, { force: true });
    const file = await open(place, "wx", 0o600);
    try {
      for await (const chunk of entry.content) {
        await file.writeFile(chunk);
        this.bytes += chunk.length;
      }
      await file.chmod(entry.mode & 0o777);
      await file.utimes(new Date(), new Date(entry.mtimeMs));
    } finally {
      await file.close();
    }
  }

  async finish(): Promise<void> {
    for (const { path, mode, mtimeMs } of this.#folderMetadata.toReversed()) {
      await fileWork("folder", path, async () => {
        await chmod(this.#place(path), mode & 0o777);
        await utimes(this.#place(path), new Date(), new Date(mtimeMs));
      });
    }
  }

  /** Sees to it that a folder and those above it are there, and are no links. */
  async #folder(path: string): Promise<void> {
    if (this.#folders.has(path)) return;
    await this.#folder(path.slice(0, Math.max(0, path.lastIndexOf("/"))));
    const place = this.#place(path);
    try {
      await mkdir(place);
    } catch (error) {
      const there = await lstat(place).catch(() => undefined);
      if (!there?.isDirectory()) throw error;
    }
    this.#folders.add(path);
  }

  #place(path: string): Buffer {
    return Buffer.concat([Buffer.from(`${this.#root}/`), hostName(path)]);
  }
}

/** A guest's name as this computer's: the same bytes. */
function hostName(path: string): Buffer {
  return Buffer.from(encodeGuestString(path));
}

/** Whether a link would lead out of the folder that its path is relative to. */
function leadsOut(path: string, target: string): boolean {
  if (target.startsWith("/") || (process.platform === "win32" && /[\\:]/.test(target))) return true;
  let depth = path.split("/").length - 1;
  for (const name of target.split("/")) {
    if (name === "..") depth--;
    else if (name !== "" && name !== ".") depth++;
    if (depth < 0) return true;
  }
  return false;
}

/** What is at a path of this computer, folders before what is in them. */
async function* hostEntries(root: string): AsyncGenerator<GuestEntry> {
  const place = Buffer.from(root);
  const stats = await fileWork("file", root, () => lstat(place));
  if (stats.isDirectory()) return yield* folderEntries(place, "");
  const name = root.slice(root.lastIndexOf("/") + 1);
  yield* entryOf(place, name, stats);
}

async function* folderEntries(folder: Buffer, prefix: string): AsyncGenerator<GuestEntry> {
  const names = await fileWork("folder", String(folder), () =>
    readdir(folder, { encoding: "buffer" }),
  );
  for (const name of names.sort((a, b) => Buffer.compare(a, b))) {
    const place = Buffer.concat([folder, Buffer.from("/"), name]);
    const stats = await fileWork("file", String(place), () => lstat(place));
    yield* entryOf(place, prefix + decodeGuestString(name), stats);
  }
}

async function* entryOf(place: Buffer, path: string, stats: Stats): AsyncGenerator<GuestEntry> {
  const metadata = { path, mode: stats.mode & 0o7777, mtimeMs: stats.mtimeMs };
  if (stats.isDirectory()) {
    yield { ...metadata, type: "directory" };
    yield* folderEntries(place, `${path}/`);
  } else if (stats.isSymbolicLink()) {
    const target = await fileWork("link", String(place), () => readlink(place, "buffer"));
    yield { ...metadata, type: "symlink", target: decodeGuestString(target) };
  } else if (stats.isFile()) {
    yield { ...metadata, type: "file", content: fileContent(place) };
  }
}

async function* fileContent(place: Buffer): AsyncGenerator<Uint8Array> {
  const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0);
  const file = await fileWork("file", String(place), () => open(place, flags));
  try {
    for (;;) {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(CHUNK_BYTES));
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

/** Runs work on files of this computer; what the system refuses becomes QZ_HYPERVISOR_FILE. */
async function fileWork<Result>(
  what: string,
  path: string,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (cause) {
    // The guest's own failures come with their codes.
    if (!(cause instanceof Error) || !("syscall" in cause)) throw cause;
    throw hypervisorError("QZ_HYPERVISOR_FILE", { what, path, reason: cause.message }, { cause });
  }
}
