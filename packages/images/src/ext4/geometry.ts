import { imagesError } from "../errors.ts";
import {
  BLOCKS_PER_GROUP,
  BLOCK_BYTES,
  DESCRIPTORS_PER_BLOCK,
  INODES_PER_BLOCK,
} from "./format.ts";

/** Where everything lies on the disk. Numbers are blocks unless they say otherwise. */
export interface Geometry {
  readonly blocks: number;
  readonly groups: number;
  readonly inodesPerGroup: number;
  /** Blocks of an inode table. */
  readonly inodeTableBlocks: number;
  readonly descriptorBlocks: number;
  /** Blocks kept after the descriptors, so that the disk can grow while it is mounted. */
  readonly reservedDescriptorBlocks: number;
}

/** What a disk must hold. */
export interface GeometryNeeds {
  /** Blocks of data: files, directories, the journal. */
  readonly blocks: number;
  readonly inodes: number;
  /** The disk's size in bytes; left out, the disk is as large as the needs. */
  readonly size?: number | undefined;
}

/** How many times larger a disk can become, and to what size at most: 1 TiB. */
const GROWTH_FACTOR = 1024;
const GROWN_GROUPS_MAX = 2 ** 40 / BLOCK_BYTES / BLOCKS_PER_GROUP;

/** Bytes of disk for which there is an inode, as mke2fs reckons. */
const BYTES_PER_INODE = 16_384;

/** A last group with fewer blocks for data than this is not worth its metadata (mke2fs does the same). */
const LAST_GROUP_BLOCKS_MIN = 50;

/** 16 TiB less a block: block numbers stay within 32 bits. */
const BLOCKS_MAX = 2 ** 32 - 1;

/**
 * Finds the smallest geometry for the needs, or the one for a given size.
 * @throws QZ_IMAGES_DISK_FULL where the size is too small, QZ_IMAGES_BAD_DISK where no disk is that large.
 */
export function planGeometry(needs: GeometryNeeds): Geometry {
  if (needs.size !== undefined) {
    const { size } = needs;
    if (!Number.isSafeInteger(size) || size <= 0) {
      throw imagesError("QZ_IMAGES_BAD_DISK", { reason: `its size is ${size}` });
    }
    const geometry = geometryOf(Math.floor(size / BLOCK_BYTES), needs.inodes);
    const room = geometry === undefined ? 0 : dataBlocks(geometry);
    if (!geometry || room < needs.blocks) {
      const needed = planGeometry({ ...needs, size: undefined }).blocks * BLOCK_BYTES;
      throw imagesError("QZ_IMAGES_DISK_FULL", { size, needed });
    }
    return geometry;
  }
  let blocks = needs.blocks + 64;
  for (;;) {
    const geometry = geometryOf(blocks, needs.inodes);
    const missing = geometry ? needs.blocks - dataBlocks(geometry) : BLOCKS_PER_GROUP;
    if (geometry && missing <= 0) return geometry;
    blocks += missing;
  }
}

/** The geometry of a disk with so many blocks; undefined where they do not even hold the metadata. */
function geometryOf(wanted: number, inodes: number): Geometry | undefined {
  if (wanted > BLOCKS_MAX) {
    const reason = `${wanted * BLOCK_BYTES} bytes are more than 16 TiB`;
    throw imagesError("QZ_IMAGES_BAD_DISK", { reason });
  }
  for (let groups = Math.ceil(wanted / BLOCKS_PER_GROUP); groups > 0; groups--) {
    const blocks = Math.min(wanted, groups * BLOCKS_PER_GROUP);
    const total = Math.max(inodes, Math.ceil((blocks * BLOCK_BYTES) / BYTES_PER_INODE));
    const inodeTableBlocks = Math.ceil(total / groups / INODES_PER_BLOCK);
    const inodesPerGroup = inodeTableBlocks * INODES_PER_BLOCK;
    const descriptorBlocks = Math.ceil(groups / DESCRIPTORS_PER_BLOCK);
    const grown = Math.max(groups, Math.min(groups * GROWTH_FACTOR, GROWN_GROUPS_MAX));
    const geometry: Geometry = {
      blocks,
      groups,
      inodesPerGroup,
      inodeTableBlocks,
      descriptorBlocks,
      reservedDescriptorBlocks: Math.ceil(grown / DESCRIPTORS_PER_BLOCK) - descriptorBlocks,
    };
    if (inodesPerGroup > BLOCKS_PER_GROUP) return undefined;
    const last = groups - 1;
    if (groupEnd(geometry, last) - dataStart(geometry, last) >= LAST_GROUP_BLOCKS_MIN) {
      return geometry;
    }
  }
  return undefined;
}

/** Whether a group begins with a copy of the superblock: 0, 1 and the powers of 3, 5 and 7. */
export function hasSuperblock(group: number): boolean {
  if (group <= 1) return true;
  return [3, 5, 7].some((base) => {
    let power = base;
    while (power < group) power *= base;
    return power === group;
  });
}

export function groupStart(group: number): number {
  return group * BLOCKS_PER_GROUP;
}

/** The block after a group's last. */
export function groupEnd(geometry: Geometry, group: number): number {
  return Math.min(groupStart(group + 1), geometry.blocks);
}

/** The block bitmap of a group; the inode bitmap and the inode table follow. */
export function blockBitmapAt(geometry: Geometry, group: number): number {
  const copies = 1 + geometry.descriptorBlocks + geometry.reservedDescriptorBlocks;
  return groupStart(group) + (hasSuperblock(group) ? copies : 0);
}

export function inodeBitmapAt(geometry: Geometry, group: number): number {
  return blockBitmapAt(geometry, group) + 1;
}

export function inodeTableAt(geometry: Geometry, group: number): number {
  return blockBitmapAt(geometry, group) + 2;
}

/** The first block of a group that is not metadata of the file system. */
export function dataStart(geometry: Geometry, group: number): number {
  return inodeTableAt(geometry, group) + geometry.inodeTableBlocks;
}

/** Blocks for data on the whole disk. */
export function dataBlocks(geometry: Geometry): number {
  let sum = 0;
  for (let group = 0; group < geometry.groups; group++) {
    sum += groupEnd(geometry, group) - dataStart(geometry, group);
  }
  return sum;
}
