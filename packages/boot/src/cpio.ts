import { bootError } from "./errors.ts";

/** The file types of an initramfs and their bits in `mode` (inode(7)). */
const TYPE_BITS = {
  file: 0o100000,
  directory: 0o040000,
  symlink: 0o120000,
  "character-device": 0o020000,
  "block-device": 0o060000,
  fifo: 0o010000,
  socket: 0o140000,
} as const;

/** What a cpio entry is. */
export type CpioType = keyof typeof TYPE_BITS;

/** One file of a cpio archive. */
export interface CpioEntry {
  /** Relative to the archive's root, without a leading "/" or "./". */
  readonly path: string;
  readonly type: CpioType;
  /** Permission bits, up to 0o7777. */
  readonly mode: number;
  /** A file's content or a symbolic link's target; empty otherwise. */
  readonly data: Uint8Array;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since 1970-01-01 UTC. */
  readonly mtime: number;
  /** A device's numbers; zero otherwise. */
  readonly major: number;
  readonly minor: number;
}

/** An entry to write: everything but the path has a default. */
export interface CpioInput {
  readonly path: string;
  /** Default "file". */
  readonly type?: CpioType;
  /** Default 0o755 for directories, 0o777 for links, 0o644 otherwise. */
  readonly mode?: number;
  /** Text is written as UTF-8. */
  readonly data?: Uint8Array | string;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
  readonly major?: number;
  readonly minor?: number;
}

const HEADER_BYTES = 110;
const TRAILER = "TRAILER!!!";
const PATH_BYTES_MAX = 4095;
const encoder = new TextEncoder();

/**
 * Writes a cpio archive in the "newc" format that Linux unpacks as an initramfs (Linux
 * Documentation/driver-api/early-userspace/buffer-format.rst). The same entries give the same bytes.
 * The kernel creates no parents: list a directory before what is in it.
 * @throws QZ_BOOT_BAD_ENTRY for a path that is absolute, climbs, is too long or twice there, or a value out of range.
 */
export function writeCpio(entries: Iterable<CpioInput>): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  const seen = new Set<string>();
  let total = 0;
  const put = (bytes: Uint8Array) => {
    const padding = -bytes.length & 3;
    parts.push(bytes, new Uint8Array(padding));
    total += bytes.length + padding;
  };
  let inode = 1;
  for (const entry of entries) {
    const { path, type = "file" } = entry;
    checkPath(path);
    if (seen.has(path)) throw bootError("QZ_BOOT_BAD_ENTRY", { path, reason: "it is there twice" });
    seen.add(path);
    const data =
      typeof entry.data === "string" ? encoder.encode(entry.data) : (entry.data ?? EMPTY);
    const { mode = defaultMode(type), uid = 0, gid = 0, mtime = 0, major = 0, minor = 0 } = entry;
    if (!(Number.isInteger(mode) && mode >= 0 && mode <= 0o7777)) {
      throw bootError("QZ_BOOT_BAD_ENTRY", { path, reason: `its mode is ${mode}` });
    }
    const links = type === "directory" ? 2 : 1;
    const fields = [
      inode++,
      TYPE_BITS[type] | mode,
      uid,
      gid,
      links,
      mtime,
      data.length,
      0,
      0,
      major,
      minor,
    ];
    put(header(path, fields));
    put(data);
  }
  put(header(TRAILER, [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
  const archive = new Uint8Array(total);
  let at = 0;
  for (const part of parts) {
    archive.set(part, at);
    at += part.length;
  }
  return archive;
}

/**
 * Reads a cpio archive in the "newc" format, or several one after the other as an initramfs may be
 * made of. Contents alias the archive. Hard links come as they are stored: only the last has the content.
 * @throws QZ_BOOT_BAD_ARCHIVE for anything else, a path that is absolute or climbs, or a missing trailer.
 */
export function readCpio(archive: Uint8Array): CpioEntry[] {
  const entries: CpioEntry[] = [];
  let at = 0;
  do {
    at = readOne(archive, at, entries);
    while (archive[at] === 0) at++;
  } while (at < archive.length);
  return entries;
}

function readOne(archive: Uint8Array, start: number, entries: CpioEntry[]): number {
  let at = start;
  const bad = (reason: string) => bootError("QZ_BOOT_BAD_ARCHIVE", { reason, at });
  for (;;) {
    if (at + HEADER_BYTES > archive.length) throw bad("it ends without a trailer");
    const text = latin1.decode(archive.subarray(at, at + HEADER_BYTES));
    // "070702" is the same format with a checksum in the last field, which Linux ignores too.
    if (!/^07070[12][0-9a-fA-F]{104}$/.test(text)) throw bad("there is no header");
    const field = (index: number) => Number.parseInt(text.slice(6 + index * 8, 14 + index * 8), 16);
    const nameBytes = field(11);
    const dataBytes = field(6);
    const nameAt = at + HEADER_BYTES;
    const dataAt = align4(nameAt + nameBytes);
    if (nameBytes < 1 || nameBytes > PATH_BYTES_MAX + 1 || dataAt + dataBytes > archive.length) {
      throw bad("an entry is longer than the archive");
    }
    if (archive[nameAt + nameBytes - 1] !== 0) throw bad("a name has no end");
    const name = utf8.decode(archive.subarray(nameAt, nameAt + nameBytes - 1));
    const end = align4(dataAt + dataBytes);
    if (name === TRAILER) return end;
    const path = name.replace(/^(\.\/)+/, "");
    const problem = pathProblem(path);
    if (problem !== undefined) throw bad(`the name ${JSON.stringify(name)} ${problem}`);
    const bits = field(1);
    const type = TYPE_NAMES.get(bits & 0o170000);
    if (type === undefined) throw bad(`the mode ${bits.toString(8)} is of no file type`);
    entries.push({
      path,
      type,
      mode: bits & 0o7777,
      data: archive.subarray(dataAt, dataAt + dataBytes),
      uid: field(2),
      gid: field(3),
      mtime: field(5),
      major: field(9),
      minor: field(10),
    });
    at = end;
  }
}

const EMPTY = new Uint8Array(0);
const latin1 = new TextDecoder("latin1");
const utf8 = new TextDecoder();
const TYPE_NAMES: ReadonlyMap<number, CpioType> = new Map(
  (Object.keys(TYPE_BITS) as CpioType[]).map((type) => [TYPE_BITS[type], type]),
);

function header(path: string, fields: readonly number[]): Uint8Array {
  const name = encoder.encode(`${path}\0`);
  const text = [...fields, name.length, 0].map((value) => {
    if (!(Number.isInteger(value) && value >= 0 && value <= 0xffffffff)) {
      throw bootError("QZ_BOOT_BAD_ENTRY", { path, reason: `a field is ${value}` });
    }
    return value.toString(16).padStart(8, "0");
  });
  const bytes = new Uint8Array(HEADER_BYTES + name.length);
  bytes.set(encoder.encode(`070701${text.join("")}`));
  bytes.set(name, HEADER_BYTES);
  return bytes;
}

function checkPath(path: string): void {
  const reason = path === TRAILER ? "is the archive's end mark" : pathProblem(path);
  if (reason !== undefined) {
    throw bootError("QZ_BOOT_BAD_ENTRY", {
      path: JSON.stringify(path),
      reason: `the name ${reason}`,
    });
  }
}

function pathProblem(path: string): string | undefined {
  if (path === "") return "is empty";
  if (path.includes("\0")) return "holds a zero byte";
  if (path.startsWith("/")) return "is absolute";
  if (path.split("/").includes("..")) return "climbs with ..";
  if (encoder.encode(path).length > PATH_BYTES_MAX) return `is longer than ${PATH_BYTES_MAX} bytes`;
  return undefined;
}

function defaultMode(type: CpioType): number {
  if (type === "directory") return 0o755;
  return type === "symlink" ? 0o777 : 0o644;
}

function align4(length: number): number {
  return Math.ceil(length / 4) * 4;
}
