import { ByteReader } from "./byte-reader.ts";
import { TAR_BLOCK_BYTES, badArchive, parsePaxRecords, parseTarHeader } from "./tar-header.ts";
import type { TarHeader } from "./tar-header.ts";

/** What a tar entry is. */
export type TarEntryType =
  "file" | "directory" | "symlink" | "link" | "character-device" | "block-device" | "fifo";

/** One entry of a tar archive. */
export interface TarEntry {
  /** As the archive has it: it may climb, be absolute, or begin with "./". */
  readonly path: string;
  readonly type: TarEntryType;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since 1970-01-01 UTC. */
  readonly mtime: number;
  /** Bytes of the content. */
  readonly size: number;
  /** Where a symbolic or hard link leads; empty otherwise. */
  readonly target: string;
  readonly major: number;
  readonly minor: number;
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
  /** The content, to be read before the next entry is asked for, or not at all. */
  content(): AsyncGenerator<Uint8Array>;
}

const TYPES: Readonly<Record<string, TarEntryType>> = {
  "0": "file",
  "1": "link",
  "2": "symlink",
  "3": "character-device",
  "4": "block-device",
  "5": "directory",
  "6": "fifo",
  "7": "file",
};

/** The most bytes of a pax header or a long name: they are held in memory. */
const EXTENSION_BYTES_MAX = 1 << 20;
const XATTR_PREFIX = "SCHILY.xattr.";
const utf8 = new TextDecoder();

/**
 * Reads a tar archive entry by entry, in the ustar, pax and GNU formats (POSIX.1-2017, pax). Contents stream
 * through; extended attributes are read as bytes.
 * @throws QZ_IMAGES_BAD_ARCHIVE for an archive that is damaged, cut, or holds sparse files.
 */
export async function* readTar(stream: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry> {
  const reader = new ByteReader(stream);
  let global: ReadonlyMap<string, Uint8Array> = new Map();
  let local: ReadonlyMap<string, Uint8Array> = new Map();
  let longName: string | undefined;
  let longLink: string | undefined;
  try {
    for (;;) {
      const block = await reader.exactly(TAR_BLOCK_BYTES);
      // An archive ends with a block of zeros, or for some archivers with the file.
      if (!block || block.every((byte) => byte === 0)) return;
      if (block.length < TAR_BLOCK_BYTES) throw badArchive("it is cut");
      const header = parseTarHeader(block);
      if ("xgLK".includes(header.typeFlag)) {
        const bytes = await extension(reader, header);
        if (header.typeFlag === "x") local = parsePaxRecords(bytes);
        else if (header.typeFlag === "g") global = new Map([...global, ...parsePaxRecords(bytes)]);
        else if (header.typeFlag === "L") longName = withoutEnd(bytes);
        else longLink = withoutEnd(bytes);
        continue;
      }
      const records = new Map([...global, ...local]);
      const entry = entryOf(header, records, { longName, longLink });
      let left = entry.size;
      const padding = -entry.size & (TAR_BLOCK_BYTES - 1);
      const content = async function* () {
        while (left > 0) {
          const some = await reader.some(left);
          if (!some) throw badArchive("it is cut");
          left -= some.length;
          yield some;
        }
      };
      yield { ...entry, content };
      await reader.skip(left + padding);
      local = new Map();
      longName = longLink = undefined;
    }
  } finally {
    await reader.close();
  }
}

async function extension(reader: ByteReader, header: TarHeader): Promise<Uint8Array> {
  const { size } = header;
  if (size < 0 || size > EXTENSION_BYTES_MAX) throw badArchive(`a header of ${size} bytes`);
  const bytes = size === 0 ? new Uint8Array(0) : await reader.exactly(size);
  if (!bytes) throw badArchive("it is cut");
  await reader.skip(-size & (TAR_BLOCK_BYTES - 1));
  return bytes;
}

function withoutEnd(bytes: Uint8Array): string {
  return utf8.decode(bytes).replace(/\0+$/, "");
}

function entryOf(
  header: TarHeader,
  records: ReadonlyMap<string, Uint8Array>,
  long: { longName: string | undefined; longLink: string | undefined },
): Omit<TarEntry, "content"> {
  const record = (key: string) => {
    const bytes = records.get(key);
    return bytes && utf8.decode(bytes);
  };
  const decimal = (key: string, otherwise: number) => {
    const value = record(key);
    if (value === undefined) return otherwise;
    if (!/^-?\d{1,16}(\.\d*)?$/.test(value)) throw badArchive(`the pax ${key} is no number`);
    return Number(value);
  };
  for (const key of records.keys()) {
    if (key.startsWith("GNU.sparse.")) throw badArchive("it holds sparse files: make it without");
  }
  const path = record("path") ?? long.longName ?? header.name;
  let type = TYPES[header.typeFlag];
  if (!type) {
    const flag = JSON.stringify(header.typeFlag);
    throw badArchive(`${JSON.stringify(path)} is of a type (${flag}) that is not supported`);
  }
  // The oldest format has no type for directories.
  if (type === "file" && path.endsWith("/")) type = "directory";
  const size = type === "file" ? decimal("size", header.size) : 0;
  if (!(Number.isSafeInteger(size) && size >= 0)) throw badArchive(`a file of ${size} bytes`);
  const xattrs = new Map<string, Uint8Array>();
  for (const [key, value] of records) {
    if (key.startsWith(XATTR_PREFIX)) xattrs.set(key.slice(XATTR_PREFIX.length), value);
  }
  return {
    path,
    type,
    mode: header.mode,
    uid: decimal("uid", header.uid),
    gid: decimal("gid", header.gid),
    mtime: decimal("mtime", header.mtime),
    size,
    target: record("linkpath") ?? long.longLink ?? header.linkName,
    major: header.major,
    minor: header.minor,
    xattrs,
  };
}
