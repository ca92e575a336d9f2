import { BLOCK_BYTES } from "./format.ts";

/** Journal sizes by the blocks of the disk they serve, as mke2fs chooses them. */
const SIZES: readonly (readonly [below: number, blocks: number])[] = [
  [2048, 0],
  [32_768, 1024],
  [262_144, 4096],
  [524_288, 8192],
  [1_048_576, 16_384],
  [4_194_304, 32_768],
];
const LARGEST = 65_536;

/** Blocks of the journal for a disk with so many blocks; 0 where a journal is not worth it. */
export function journalBlocks(diskBlocks: number): number {
  return SIZES.find(([below]) => diskBlocks < below)?.[1] ?? LARGEST;
}

/**
 * The first block of a journal in which nothing is to be replayed (Linux
 * Documentation/filesystems/ext4/journal.rst); the others are zero. Numbers are big-endian.
 */
export function journalSuperblock(blocks: number, uuid: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(BLOCK_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0x00, 0xc03b3998);
  view.setUint32(0x04, 4); // superblock, version 2
  view.setUint32(0x0c, BLOCK_BYTES);
  view.setUint32(0x10, blocks);
  view.setUint32(0x14, 1); // first block of the log
  view.setUint32(0x18, 1); // first sequence number expected; the log's start, after it, is 0: empty
  bytes.set(uuid, 0x30);
  view.setUint32(0x40, 1); // users
  return bytes;
}
