import { crc32c } from "./crc32c.ts";
import { BLOCK_BYTES } from "./format.ts";

/** One name of a directory. */
export interface DirectoryEntry {
  readonly name: Uint8Array;
  readonly inode: number;
  /** The entry's file type (`FILE_TYPES`). */
  readonly type: number;
}

const ENTRY_BYTES = 8;
/** The last entry of a block, unused, holds the block's checksum. */
const TAIL_BYTES = 12;
const TAIL_TYPE = 0xde;
const ROOM = BLOCK_BYTES - TAIL_BYTES;

function entryBytes(name: Uint8Array): number {
  return (ENTRY_BYTES + name.length + 3) & ~3;
}

/** How many blocks a directory with these names takes, "." and ".." counted in by the caller. */
export function directoryBlocks(names: Iterable<Uint8Array>): number {
  let blocks = 1;
  let at = 0;
  for (const name of names) {
    const bytes = entryBytes(name);
    if (at + bytes > ROOM) {
      blocks++;
      at = 0;
    }
    at += bytes;
  }
  return blocks;
}

/**
 * The blocks of a linear directory (Linux Documentation/filesystems/ext4/directory.rst): entries in the
 * given order, none across two blocks.
 * @param seed checksum over the file system's UUID, the directory's inode number and its generation.
 * @param minBlocks further blocks are empty, as lost+found's are.
 */
export function directoryData(
  entries: Iterable<DirectoryEntry>,
  seed: number,
  minBlocks = 1,
): Uint8Array[] {
  const blocks: Uint8Array[] = [];
  let bytes = new Uint8Array(BLOCK_BYTES);
  let view = new DataView(bytes.buffer);
  let at = 0;
  let lastAt = 0;
  const finish = () => {
    // The last entry reaches to the tail; an empty block is one unused entry.
    view.setUint16(lastAt + 4, ROOM - lastAt, true);
    view.setUint16(ROOM + 4, TAIL_BYTES, true);
    view.setUint8(ROOM + 7, TAIL_TYPE);
    view.setUint32(ROOM + 8, crc32c(seed, bytes.subarray(0, ROOM)), true);
    blocks.push(bytes);
    bytes = new Uint8Array(BLOCK_BYTES);
    view = new DataView(bytes.buffer);
    at = 0;
    lastAt = 0;
  };
  for (const { name, inode, type } of entries) {
    const length = entryBytes(name);
    if (at + length > ROOM) finish();
    view.setUint32(at, inode, true);
    view.setUint16(at + 4, length, true);
    view.setUint8(at + 6, name.length);
    view.setUint8(at + 7, type);
    bytes.set(name, at + ENTRY_BYTES);
    lastAt = at;
    at += length;
  }
  do finish();
  while (blocks.length < minBlocks);
  return blocks;
}
