import { crc32c, crc32cOfWord } from "./crc32c.ts";
import { EXTRA_INODE_BYTES, INODE_BYTES } from "./format.ts";

/** The fields of an inode that are not zero in a new file system. */
export interface InodeFields {
  /** File type and permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly links: number;
  /** Bytes. */
  readonly size: number;
  /** Seconds since 1970-01-01 UTC, for all four times. */
  readonly mtime: number;
  /** Space in use, in units of 512 bytes. */
  readonly sectors: number;
  readonly flags: number;
  /** The 60 bytes for extents, a short symbolic link or a device's numbers. */
  readonly data: Uint8Array;
  /** The block with the extended attributes, or 0. */
  readonly xattrBlock: number;
  /** Extended attributes within the inode. */
  readonly xattrs?: Uint8Array | undefined;
}

const CHECKSUM_LOW = 0x7c;
const CHECKSUM_HIGH = 0x82;

/** Bytes of a symbolic link's target that fit in the inode with the zero after them. */
export const FAST_SYMLINK_BYTES = 59;

/** Checksum over the UUID, an inode's number and its generation (0 in what we write). */
export function inodeSeed(seed: number, inode: number): number {
  return crc32cOfWord(crc32cOfWord(seed, inode), 0);
}

/** An inode's 256 bytes (Linux Documentation/filesystems/ext4/inodes.rst). */
export function inodeBytes(inode: number, seed: number, fields: InodeFields): Uint8Array {
  const bytes = new Uint8Array(INODE_BYTES);
  const view = new DataView(bytes.buffer);
  const { mode, uid, gid, links, size, mtime, sectors, flags, data, xattrBlock, xattrs } = fields;
  view.setUint16(0x00, mode, true);
  view.setUint16(0x02, uid & 0xffff, true);
  view.setUint32(0x04, size % 2 ** 32, true);
  view.setUint16(0x18, gid & 0xffff, true);
  view.setUint16(0x1a, links, true);
  view.setUint32(0x1c, sectors % 2 ** 32, true);
  view.setUint32(0x20, flags, true);
  bytes.set(data, 0x28);
  view.setUint32(0x68, xattrBlock, true);
  view.setUint32(0x6c, Math.floor(size / 2 ** 32), true);
  view.setUint16(0x74, Math.floor(sectors / 2 ** 32), true);
  view.setUint16(0x78, uid >>> 16, true);
  view.setUint16(0x7a, gid >>> 16, true);
  view.setUint16(0x80, EXTRA_INODE_BYTES, true);

  let seconds = Math.floor(mtime);
  let nanoseconds = Math.round((mtime - seconds) * 1e9);
  if (nanoseconds === 1e9) {
    seconds++;
    nanoseconds = 0;
  }
  // The 32 signed bits of old, and above the nanoseconds two bits that count how often they wrapped.
  const epoch = Math.floor((seconds - (seconds | 0)) / 2 ** 32) & 3;
  const extra = ((nanoseconds << 2) | epoch) >>> 0;
  for (const at of [0x08, 0x0c, 0x10, 0x90]) view.setInt32(at, seconds | 0, true);
  for (const at of [0x84, 0x88, 0x8c, 0x94]) view.setUint32(at, extra, true);
  if (xattrs) bytes.set(xattrs, 0x80 + EXTRA_INODE_BYTES);

  const checksum = crc32c(inodeSeed(seed, inode), bytes);
  view.setUint16(CHECKSUM_LOW, checksum & 0xffff, true);
  view.setUint16(CHECKSUM_HIGH, checksum >>> 16, true);
  return bytes;
}

/** A device's numbers as an inode holds them: the 16-bit form of old where they fit. */
export function deviceData(major: number, minor: number): Uint8Array {
  const data = new Uint8Array(60);
  const view = new DataView(data.buffer);
  if (major < 256 && minor < 256) view.setUint32(0, (major << 8) | minor, true);
  else view.setUint32(4, ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0, true);
  return data;
}
