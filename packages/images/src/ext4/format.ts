/** Bytes of a block: the page size, the one size that every Linux mounts. */
export const BLOCK_BYTES = 4096;
/** Blocks of a group: one bitmap block has a bit for each. */
export const BLOCKS_PER_GROUP = 8 * BLOCK_BYTES;
export const INODE_BYTES = 256;
export const INODES_PER_BLOCK = BLOCK_BYTES / INODE_BYTES;
export const DESCRIPTOR_BYTES = 64;
export const DESCRIPTORS_PER_BLOCK = BLOCK_BYTES / DESCRIPTOR_BYTES;

/** Bytes of an inode used beyond the original 128, before the attributes in it. */
export const EXTRA_INODE_BYTES = 32;

/** Inodes with a fixed purpose; the first for files is 11, lost+found by custom. */
export const RESERVED_INODES = { root: 2, resize: 7, journal: 8, first: 11 } as const;

/** Feature bits of the superblock (Linux Documentation/filesystems/ext4/super.rst). */
export const COMPATIBLE = { journal: 0x4, xattrs: 0x8, resizeInode: 0x10, dirIndex: 0x20 } as const;
export const INCOMPATIBLE = { fileType: 0x2, extents: 0x40, wide: 0x80 } as const;
export const READ_ONLY_COMPATIBLE = {
  sparseSuper: 0x1,
  largeFile: 0x2,
  hugeFile: 0x8,
  manySubdirectories: 0x20,
  extraInodeBytes: 0x40,
  metadataChecksums: 0x400,
} as const;

/** Bits of an inode's flags. */
export const INODE_FLAGS = { extents: 0x8_0000 } as const;

/** The inode table of the group is zeroed: true of every group, because the sink reads as zeros. */
export const GROUP_INODES_ZEROED = 0x4;

/** Directories past this many links count as having one (feature dir_nlink). */
export const LINKS_MAX = 65_000;

/** File type bits of a mode, and the file types of directory entries. */
export const FILE_TYPES = {
  fifo: { mode: 0x1000, entry: 5 },
  "character-device": { mode: 0x2000, entry: 3 },
  directory: { mode: 0x4000, entry: 2 },
  "block-device": { mode: 0x6000, entry: 4 },
  file: { mode: 0x8000, entry: 1 },
  symlink: { mode: 0xa000, entry: 7 },
  socket: { mode: 0xc000, entry: 6 },
} as const;

/** Bytes in a unit of an inode's block count. */
export const SECTOR_BYTES = 512;

/** The sum of a table's bits. */
export function allBits(bits: Readonly<Record<string, number>>): number {
  return Object.values(bits).reduce((sum, bit) => sum | bit, 0);
}
