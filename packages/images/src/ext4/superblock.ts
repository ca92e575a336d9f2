import { crc32c, crc32cOfWord } from "./crc32c.ts";
import {
  BLOCKS_PER_GROUP,
  BLOCK_BYTES,
  COMPATIBLE,
  DESCRIPTOR_BYTES,
  EXTRA_INODE_BYTES,
  GROUP_INODES_ZEROED,
  INCOMPATIBLE,
  INODE_BYTES,
  READ_ONLY_COMPATIBLE,
  RESERVED_INODES,
  allBits,
} from "./format.ts";
import { blockBitmapAt, inodeBitmapAt, inodeTableAt } from "./geometry.ts";
import type { Geometry } from "./geometry.ts";

/** Bytes of a superblock; the first lies this far from the disk's beginning. */
export const SUPERBLOCK_BYTES = 1024;

/** What tells one file system from another. */
export interface Identity {
  /** 16 bytes. */
  readonly uuid: Uint8Array;
  /** 16 bytes that the kernel mixes into the hashes of names. */
  readonly hashSeed: Uint8Array;
  /** At most 16 bytes. */
  readonly label: Uint8Array;
  /** When it was made, in seconds since 1970-01-01 UTC. */
  readonly time: number;
}

/** What changes with the files. */
export interface Usage {
  readonly freeBlocks: number;
  readonly freeInodes: number;
  /** The journal's inode: its block map and size, which the superblock keeps a copy of. */
  readonly journal: { readonly data: Uint8Array; readonly size: number } | undefined;
}

/** The superblock, or its copy in another group (Linux Documentation/filesystems/ext4/super.rst). */
export function superblockBytes(
  geometry: Geometry,
  identity: Identity,
  usage: Usage,
  group: number,
): Uint8Array {
  const bytes = new Uint8Array(SUPERBLOCK_BYTES);
  const view = new DataView(bytes.buffer);
  const u16 = (at: number, value: number) => view.setUint16(at, value, true);
  const u32 = (at: number, value: number) => view.setUint32(at, value, true);
  const { journal: _journal, ...compatible } = COMPATIBLE;
  u32(0x00, geometry.inodesPerGroup * geometry.groups);
  u32(0x04, geometry.blocks);
  u32(0x0c, usage.freeBlocks);
  u32(0x10, usage.freeInodes);
  u32(0x18, Math.log2(BLOCK_BYTES / 1024));
  u32(0x1c, Math.log2(BLOCK_BYTES / 1024));
  u32(0x20, BLOCKS_PER_GROUP);
  u32(0x24, BLOCKS_PER_GROUP);
  u32(0x28, geometry.inodesPerGroup);
  u32(0x30, identity.time);
  u16(0x36, 0xffff); // never checked because of the number of mounts
  u16(0x38, 0xef53);
  u16(0x3a, 1); // cleanly unmounted
  u16(0x3c, 1); // on errors: continue
  u32(0x40, identity.time);
  u32(0x4c, 1); // revision
  u32(0x54, RESERVED_INODES.first);
  u16(0x58, INODE_BYTES);
  u16(0x5a, group);
  u32(0x5c, allBits(usage.journal ? COMPATIBLE : compatible));
  u32(0x60, allBits(INCOMPATIBLE));
  u32(0x64, allBits(READ_ONLY_COMPATIBLE));
  bytes.set(identity.uuid, 0x68);
  bytes.set(identity.label, 0x78);
  u16(0xce, geometry.reservedDescriptorBlocks);
  bytes.set(identity.hashSeed, 0xec);
  view.setUint8(0xfc, 1); // names are hashed by half MD4
  u16(0xfe, DESCRIPTOR_BYTES);
  u32(0x100, 0x0c); // mounted with user attributes and ACLs
  u32(0x108, identity.time);
  u16(0x15c, EXTRA_INODE_BYTES);
  u16(0x15e, EXTRA_INODE_BYTES);
  u32(0x160, 1); // names are hashed as signed bytes
  view.setUint8(0x175, 1); // checksums are CRC-32C
  if (usage.journal) {
    u32(0xe0, RESERVED_INODES.journal);
    view.setUint8(0xfd, 1);
    bytes.set(usage.journal.data, 0x10c);
    u32(0x10c + 60, Math.floor(usage.journal.size / 2 ** 32));
    u32(0x10c + 64, usage.journal.size % 2 ** 32);
  }
  u32(0x3fc, crc32c(0xffffffff, bytes.subarray(0, 0x3fc)));
  return bytes;
}

/** What a group's descriptor says beside where things are. */
export interface GroupUsage {
  readonly blockBitmap: Uint8Array;
  readonly inodeBitmap: Uint8Array;
  readonly freeBlocks: number;
  readonly freeInodes: number;
  readonly directories: number;
}

/** A group's descriptor (Linux Documentation/filesystems/ext4/group_descr.rst). */
export function groupDescriptor(
  geometry: Geometry,
  group: number,
  usage: GroupUsage,
  seed: number,
): Uint8Array {
  const bytes = new Uint8Array(DESCRIPTOR_BYTES);
  const view = new DataView(bytes.buffer);
  /** A number whose upper half lies in the second part of the descriptor. */
  const split = (low: number, high: number, value: number) => {
    view.setUint16(low, value & 0xffff, true);
    view.setUint16(high, value >>> 16, true);
  };
  view.setUint32(0x00, blockBitmapAt(geometry, group), true);
  view.setUint32(0x04, inodeBitmapAt(geometry, group), true);
  view.setUint32(0x08, inodeTableAt(geometry, group), true);
  split(0x0c, 0x2c, usage.freeBlocks);
  split(0x0e, 0x2e, usage.freeInodes);
  split(0x10, 0x30, usage.directories);
  view.setUint16(0x12, GROUP_INODES_ZEROED, true);
  split(0x18, 0x38, crc32c(seed, usage.blockBitmap));
  split(0x1a, 0x3a, crc32c(seed, usage.inodeBitmap.subarray(0, geometry.inodesPerGroup / 8)));
  // Inodes are given out from the first, so that the free ones have never been used.
  split(0x1c, 0x32, usage.freeInodes);
  view.setUint16(0x1e, crc32c(crc32cOfWord(seed, group), bytes) & 0xffff, true);
  return bytes;
}

/** A bitmap with the first `used` bits set, and those from `end` on, which stand for nothing. */
export function bitmap(used: number, end: number): Uint8Array {
  const bytes = new Uint8Array(BLOCK_BYTES);
  const set = (from: number, to: number) => {
    for (let bit = from; bit < to; bit++) {
      if ((bit & 7) === 0 && bit + 8 <= to) {
        bytes[bit >> 3] = 0xff;
        bit += 7;
      } else {
        bytes[bit >> 3] = (bytes[bit >> 3] as number) | (1 << (bit & 7));
      }
    }
  };
  set(0, used);
  set(end, BLOCK_BYTES * 8);
  return bytes;
}
