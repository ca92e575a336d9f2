import { BLOCK_BYTES, SECTOR_BYTES } from "./format.ts";
import { groupStart, hasSuperblock } from "./geometry.ts";
import type { Geometry } from "./geometry.ts";

const POINTERS = BLOCK_BYTES / 4;
const DIRECT_BLOCKS = 12;
const DOUBLE_INDIRECT = 13;

/** The inode that holds the blocks reserved for descriptors of a larger disk, and its blocks. */
export interface ResizeInode {
  readonly size: number;
  readonly sectors: number;
  readonly data: Uint8Array;
  readonly writes: readonly { readonly block: number; readonly bytes: Uint8Array }[];
}

/**
 * Lays out the resize inode: its double indirect block points to the reserved blocks of group 0, and each
 * of these, as an indirect block, to its copies in the other groups with a superblock.
 * @param indirect the block for the double indirect block.
 */
export function resizeInode(geometry: Geometry, indirect: number): ResizeInode {
  const { groups, descriptorBlocks, reservedDescriptorBlocks } = geometry;
  const copies: number[] = [];
  for (let group = 1; group < groups; group++) if (hasSuperblock(group)) copies.push(group);
  const pointers = new Uint8Array(BLOCK_BYTES);
  const writes = [{ block: indirect, bytes: pointers }];
  for (let i = 0; i < reservedDescriptorBlocks; i++) {
    const index = descriptorBlocks + i;
    const reserved = 1 + index;
    new DataView(pointers.buffer).setUint32((index % POINTERS) * 4, reserved, true);
    const bytes = new Uint8Array(BLOCK_BYTES);
    const view = new DataView(bytes.buffer);
    copies.forEach((group, at) => view.setUint32(at * 4, reserved + groupStart(group), true));
    writes.push({ block: reserved, bytes });
  }
  const data = new Uint8Array(60);
  new DataView(data.buffer).setUint32(DOUBLE_INDIRECT * 4, indirect, true);
  const blocks = 1 + reservedDescriptorBlocks * (1 + copies.length);
  return {
    size: (POINTERS * POINTERS + POINTERS + DIRECT_BLOCKS) * BLOCK_BYTES,
    sectors: blocks * (BLOCK_BYTES / SECTOR_BYTES),
    data,
    writes,
  };
}
