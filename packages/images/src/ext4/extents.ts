import { crc32c } from "./crc32c.ts";
import { BLOCK_BYTES } from "./format.ts";

/** Blocks of a file that lie together: `length` blocks from `logical` on are those from `physical` on. */
export interface Extent {
  readonly logical: number;
  readonly physical: number;
  length: number;
}

const EXTENT_LENGTH_MAX = 32_768;
const MAGIC = 0xf30a;
const HEADER_BYTES = 12;
const ENTRY_BYTES = 12;
/** Entries in an inode and in a block, whose last four bytes are a checksum. */
const ROOT_ENTRIES = 4;
const BLOCK_ENTRIES = Math.floor((BLOCK_BYTES - HEADER_BYTES - 4) / ENTRY_BYTES);

/** Collects a file's blocks, given in ascending order, into as few extents as possible. */
export class ExtentList {
  readonly extents: Extent[] = [];

  add(logical: number, physical: number): void {
    const last = this.extents.at(-1);
    const follows =
      last !== undefined &&
      last.logical + last.length === logical &&
      last.physical + last.length === physical &&
      last.length < EXTENT_LENGTH_MAX;
    if (follows) last.length++;
    else this.extents.push({ logical, physical, length: 1 });
  }
}

/** What becomes of a file's extents. */
export interface ExtentTree {
  /** The 60 bytes of the inode. */
  readonly root: Uint8Array;
  /** Blocks of the tree outside the inode. */
  readonly blocks: number;
}

/** The most blocks that the tree of a file with so many blocks takes beside the inode. */
export function extentBlocksMax(fileBlocks: number): number {
  // Every other block a hole is the worst.
  let entries = Math.ceil(fileBlocks / 2);
  let blocks = 0;
  while (entries > ROOT_ENTRIES) {
    entries = Math.ceil(entries / BLOCK_ENTRIES);
    blocks += entries;
  }
  return blocks;
}

/**
 * Lays out the tree over a file's extents (Linux Documentation/filesystems/ext4/ifork.rst).
 * @param seed checksum over the file system's UUID, the inode number and its generation.
 */
export async function writeExtentTree(
  extents: readonly Extent[],
  seed: number,
  take: () => number,
  write: (block: number, bytes: Uint8Array) => void | Promise<void>,
): Promise<ExtentTree> {
  let depth = 0;
  let blocks = 0;
  let level: readonly { logical: number; block: number; length: number }[] = extents.map(
    ({ logical, physical, length }) => ({ logical, block: physical, length }),
  );
  while (level.length > ROOT_ENTRIES) {
    const above: { logical: number; block: number; length: number }[] = [];
    for (let at = 0; at < level.length; at += BLOCK_ENTRIES) {
      const entries = level.slice(at, at + BLOCK_ENTRIES);
      const block = take();
      const bytes = new Uint8Array(BLOCK_BYTES);
      putEntries(bytes, entries, depth, BLOCK_ENTRIES);
      const tail = HEADER_BYTES + ENTRY_BYTES * BLOCK_ENTRIES;
      const checksum = crc32c(seed, bytes.subarray(0, tail));
      new DataView(bytes.buffer).setUint32(tail, checksum, true);
      await write(block, bytes);
      above.push({ logical: entries[0]?.logical ?? 0, block, length: 0 });
      blocks++;
    }
    level = above;
    depth++;
  }
  const root = new Uint8Array(60);
  putEntries(root, level, depth, ROOT_ENTRIES);
  return { root, blocks };
}

function putEntries(
  bytes: Uint8Array,
  entries: readonly { logical: number; block: number; length: number }[],
  depth: number,
  max: number,
): void {
  const view = new DataView(bytes.buffer);
  view.setUint16(0, MAGIC, true);
  view.setUint16(2, entries.length, true);
  view.setUint16(4, max, true);
  view.setUint16(6, depth, true);
  entries.forEach(({ logical, block, length }, i) => {
    const at = HEADER_BYTES + i * ENTRY_BYTES;
    view.setUint32(at, logical, true);
    if (depth === 0) {
      // The upper 16 bits of the block number, between the two, stay zero.
      view.setUint16(at + 4, length, true);
      view.setUint32(at + 8, block, true);
    } else {
      view.setUint32(at + 4, block, true);
    }
  });
}
