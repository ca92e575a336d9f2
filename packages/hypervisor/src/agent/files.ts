import { hypervisorError } from "../errors.ts";
import type { Connection } from "./connection.ts";
import { Copy } from "./copy.ts";
import { FrameType } from "./frame.ts";
import { Fields, broken, encodeFields, encodeGuestString } from "./records.ts";
import type { Field } from "./records.ts";
import { concatenate } from "./run.ts";

/** What a file holds. */
export type GuestContent = string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

interface EntryMetadata {
  /** Relative, with "/" between names; a byte that is no UTF-8 is a lone surrogate U+DC80 to U+DCFF. */
  readonly path: string;
  /** Permission bits; default 0o644 for files, 0o755 for folders. */
  readonly mode?: number;
  /** When it was changed, in milliseconds since 1970; default now. */
  readonly mtimeMs?: number;
}

/** Something to write into the guest. */
export type GuestEntry =
  | (EntryMetadata & { readonly type: "file"; readonly content: GuestContent })
  | (EntryMetadata & { readonly type: "directory" })
  | (EntryMetadata & { readonly type: "symlink"; readonly target: string });

interface EntryOut extends Required<EntryMetadata> {
  /** Why the guest could not read it, where it could not. */
  readonly skipped: string | undefined;
}

/** Something that was read from the guest. */
export type GuestEntryOut =
  | (EntryOut & {
      readonly type: "file";
      /** Its size when it was opened, in bytes; what `content` gives may differ. */
      readonly size: number;
      readonly content: AsyncIterable<Uint8Array>;
    })
  | (EntryOut & { readonly type: "directory" })
  | (EntryOut & { readonly type: "symlink"; readonly target: string });

/** How entries are written. */
export interface CopyInOptions {
  /** Who owns them, as in `ExecOptions.user`; default root. */
  readonly user?: string;
  readonly signal?: AbortSignal;
}

/** How much is read, beyond which it is given up: a guest must not fill the host. */
export interface CopyOutOptions {
  /** Of all contents; default 1 GiB (`readFile`: 16 MiB). */
  readonly maxBytes?: number;
  /** Default 1,000,000. */
  readonly maxEntries?: number;
  readonly signal?: AbortSignal;
}

/** What was copied. */
export interface CopyResult {
  readonly entries: number;
  readonly bytes: number;
}

const PATH_BYTES = 4095;

/** @throws QZ_HYPERVISOR_OPTIONS, QZ_HYPERVISOR_AGENT_REFUSED */
export async function putEntries(
  connection: Connection,
  folder: string,
  entries: Iterable<GuestEntry> | AsyncIterable<GuestEntry>,
  options: CopyInOptions,
): Promise<CopyResult> {
  const fields: Field[] = [["path", absolutePath(folder)]];
  if (options.user !== undefined) fields.push(["user", options.user]);
  const copy = new Copy(connection, "put", options.signal);
  await copy.begin(fields);
  try {
    for await (const entry of entries) {
      if (!(await copy.send(FrameType.Entry, encodeEntry(entry)))) break;
      if (entry.type === "file" && !(await sendContent(copy, entry.content))) break;
    }
    await copy.end();
    const reply = await copy.reply;
    return { entries: reply.needed("entries"), bytes: reply.needed("bytes") };
  } finally {
    copy.cancel();
  }
}

async function sendContent(copy: Copy, content: GuestContent): Promise<boolean> {
  if (typeof content === "string") return copy.send(FrameType.Data, encodeGuestString(content));
  if (content instanceof Uint8Array) return copy.send(FrameType.Data, content);
  for await (const chunk of content) if (!(await copy.send(FrameType.Data, chunk))) return false;
  return true;
}

/** @throws QZ_HYPERVISOR_OPTIONS, QZ_HYPERVISOR_AGENT_REFUSED, QZ_HYPERVISOR_AGENT_LIMIT */
export async function* getEntries(
  connection: Connection,
  path: string,
  options: CopyOutOptions & { readonly file?: boolean },
): AsyncGenerator<GuestEntryOut, void> {
  const { maxBytes = 2 ** 30, maxEntries = 1_000_000, signal, file = false } = options;
  const copy = new Copy(connection, "get", signal);
  const fields: Field[] = [["path", absolutePath(path)]];
  if (file) fields.push(["file", "1"]);
  await copy.begin(fields);
  let entries = 0;
  let bytes = 0;
  const limited = (count: number, limit: number, what: string) => {
    if (count > limit)
      throw hypervisorError("QZ_HYPERVISOR_AGENT_LIMIT", { what: `${what} of ${path}`, limit });
  };
  try {
    let next = await copy.inbound.read();
    while (next) {
      if (next.type !== FrameType.Entry) throw broken("content of no file");
      limited(++entries, maxEntries, "the entries");
      const entry = decodeEntry(next.payload);
      next = undefined;
      let isRead = false;
      async function* contents(): AsyncGenerator<Uint8Array, void> {
        while (!isRead) {
          const frame = await copy.inbound.read();
          if (frame?.type !== FrameType.Data) {
            isRead = true;
            next = frame;
            return;
          }
          limited((bytes += frame.payload.length), maxBytes, "the bytes");
          yield frame.payload;
        }
      }
      const content = contents();
      yield entry.type === "file" ? { ...entry, content } : entry;
      // What its reader left.
      while (!isRead) await contents().next();
    }
    await copy.reply;
  } finally {
    copy.cancel();
  }
}

/** @throws as `putEntries` */
export async function writeGuestFile(
  connection: Connection,
  path: string,
  content: GuestContent,
  options: CopyInOptions & { readonly mode?: number },
): Promise<void> {
  const { mode = 0o644, ...rest } = options;
  const at = absolutePath(path).lastIndexOf("/");
  const entry: GuestEntry = { type: "file", path: path.slice(at + 1), mode, content };
  await putEntries(connection, path.slice(0, at) || "/", [entry], rest);
}

/** @throws as `getEntries`; QZ_HYPERVISOR_AGENT_REFUSED for what is no file. */
export async function readGuestFile(
  connection: Connection,
  path: string,
  options: CopyOutOptions,
): Promise<Uint8Array> {
  const limits = { maxBytes: 16 * 1024 * 1024, ...options, maxEntries: 1, file: true };
  for await (const entry of getEntries(connection, path, limits)) {
    if (entry.skipped !== undefined || entry.type !== "file") break;
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of entry.content) {
      chunks.push(chunk);
      length += chunk.length;
    }
    return concatenate(chunks, length);
  }
  throw hypervisorError("QZ_HYPERVISOR_AGENT_REFUSED", {
    what: "get",
    reason: `${path} cannot be read`,
  });
}

function encodeEntry(entry: GuestEntry): Uint8Array {
  const { path, type, mode, mtimeMs = Date.now() } = entry;
  if (!isContained(path)) {
    const expected = "give a relative path without empty names, . and ..";
    throw hypervisorError("QZ_HYPERVISOR_OPTIONS", { option: "path", value: path, expected });
  }
  const mtime = BigInt(Math.max(0, Math.round(mtimeMs * 1000))) * 1000n;
  const permissions = (mode ?? (type === "file" ? 0o644 : 0o755)) & 0o7777;
  const fields: Field[] = [
    ["path", path],
    ["type", type],
    ["mode", `0${permissions.toString(8)}`],
    ["mtime", String(mtime)],
  ];
  if (type === "symlink") {
    if (entry.target === "" || entry.target.includes("\0")) {
      const expected = "a link needs a target without NUL characters";
      throw hypervisorError("QZ_HYPERVISOR_OPTIONS", {
        option: "target",
        value: entry.target,
        expected,
      });
    }
    fields.push(["target", entry.target]);
  }
  return encodeFields(fields);
}

function decodeEntry(
  bytes: Uint8Array,
):
  | (EntryOut & { readonly type: "file"; readonly size: number })
  | (EntryOut & { readonly type: "directory" })
  | (EntryOut & { readonly type: "symlink"; readonly target: string }) {
  const fields = new Fields(bytes);
  const path = fields.text("path") ?? "";
  if (!isContained(path)) throw broken("an entry outside of what was asked for");
  const mode = fields.text("mode") ?? "644";
  const mtime = fields.text("mtime") ?? "0";
  if (!/^[0-7]{1,5}$/.test(mode) || !/^-?\d{1,19}$/.test(mtime))
    throw broken("an entry's odd mode or time");
  const entry: EntryOut = {
    path,
    mode: parseInt(mode, 8) & 0o7777,
    mtimeMs: Number(mtime) / 1e6,
    skipped: fields.text("skipped")?.slice(0, 500),
  };
  switch (fields.text("type")) {
    case "file":
      return { ...entry, type: "file", size: fields.count("size") ?? 0 };
    case "directory":
      return { ...entry, type: "directory" };
    case "symlink": {
      const target = fields.text("target") ?? "";
      if (target.length > PATH_BYTES || target.includes("\0")) throw broken("a link to nowhere");
      return { ...entry, type: "symlink", target };
    }
    default:
      throw broken("an entry of a type that is none");
  }
}

/** Whether a relative path stays below where it begins. */
function isContained(path: string): boolean {
  if (path.includes("\0") || encodeGuestString(path).length > PATH_BYTES) return false;
  return path.split("/").every((name) => name !== "" && name !== "." && name !== "..");
}

function absolutePath(path: string): string {
  if (path.startsWith("/") && !path.includes("\0") && encodeGuestString(path).length <= PATH_BYTES)
    return path;
  const expected = "give an absolute path of the guest";
  throw hypervisorError("QZ_HYPERVISOR_OPTIONS", { option: "path", value: path, expected });
}
