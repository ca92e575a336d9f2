import { crc32c, crc32cOfWord } from "./crc32c.ts";
import { BLOCK_BYTES, EXTRA_INODE_BYTES, INODE_BYTES } from "./format.ts";

/** The beginnings of names that are stored as a number (Linux Documentation/filesystems/ext4/attributes.rst). */
const PREFIXES: readonly (readonly [prefix: string, index: number])[] = [
  ["system.posix_acl_access", 2],
  ["system.posix_acl_default", 3],
  ["user.", 1],
  ["trusted.", 4],
  ["security.", 6],
  ["system.", 7],
];

const MAGIC = 0xea020000;
const ENTRY_BYTES = 16;
const BLOCK_HEADER_BYTES = 32;
/** Room in an inode after its fields and the magic number. */
const INODE_ROOM = INODE_BYTES - 128 - EXTRA_INODE_BYTES - 4;
const NAME_BYTES_MAX = 255;

interface Attribute {
  readonly index: number;
  readonly name: Uint8Array;
  readonly value: Uint8Array;
}

/** Where a file's extended attributes go. */
export interface XattrPlacement {
  /** Bytes of the inode after its fields, or undefined where there are none. */
  readonly inInode?: Uint8Array;
  /** Fills the block that holds them, once its number is known. */
  readonly block?: (block: number, seed: number) => Uint8Array;
}

/**
 * Lays out a file's extended attributes: in the inode where they fit, in a block of their own otherwise.
 * @returns a text that says why not, where no disk of ours can hold them.
 */
export function placeXattrs(xattrs: ReadonlyMap<string, Uint8Array>): XattrPlacement | string {
  if (xattrs.size === 0) return {};
  const attributes: Attribute[] = [];
  for (const [fullName, value] of xattrs) {
    const found = PREFIXES.find(([prefix]) => fullName.startsWith(prefix));
    if (!found) return `the attribute ${fullName} is of no kind that Linux knows`;
    const [prefix, index] = found;
    const name = new TextEncoder().encode(fullName.slice(prefix.length));
    const whole = index === 2 || index === 3;
    if (name.includes(0) || name.length > NAME_BYTES_MAX || (name.length === 0) !== whole) {
      return `the attribute name ${fullName} cannot be stored`;
    }
    attributes.push({ index, name, value });
  }
  // The order in which the kernel searches a block.
  attributes.sort(
    (a, b) => a.index - b.index || a.name.length - b.name.length || compareBytes(a.name, b.name),
  );
  const size = attributes.reduce((sum, each) => sum + bytesOf(each), 4);
  if (size <= INODE_ROOM) return { inInode: inodeArea(attributes) };
  if (size <= BLOCK_BYTES - BLOCK_HEADER_BYTES) {
    return { block: (block, seed) => blockArea(attributes, block, seed) };
  }
  return `its extended attributes take ${size} bytes, more than a block has`;
}

function inodeArea(attributes: readonly Attribute[]): Uint8Array {
  const area = new Uint8Array(4 + INODE_ROOM);
  new DataView(area.buffer).setUint32(0, MAGIC, true);
  putAttributes(area, 4, 4, attributes);
  return area;
}

function blockArea(attributes: readonly Attribute[], block: number, seed: number): Uint8Array {
  const area = new Uint8Array(BLOCK_BYTES);
  const view = new DataView(area.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, 1, true);
  view.setUint32(8, 1, true);
  const hashes = putAttributes(area, BLOCK_HEADER_BYTES, 0, attributes);
  const hash = hashes.reduce((sum, each) => (rotate(sum, 16) ^ each) >>> 0, 0);
  view.setUint32(12, hash, true);
  const place = crc32cOfWord(crc32cOfWord(seed, block), 0);
  view.setUint32(16, crc32c(place, area), true);
  return area;
}

/** Entries from `at` on, values from the area's end backwards, counted from `origin`. */
function putAttributes(
  area: Uint8Array,
  start: number,
  origin: number,
  attributes: readonly Attribute[],
): number[] {
  const view = new DataView(area.buffer);
  let at = start;
  let valueAt = area.length;
  return attributes.map((attribute) => {
    const { index, name, value } = attribute;
    valueAt -= align4(value.length);
    view.setUint8(at, name.length);
    view.setUint8(at + 1, index);
    view.setUint16(at + 2, value.length === 0 ? 0 : valueAt - origin, true);
    view.setUint32(at + 8, value.length, true);
    const hash = hashOf(attribute);
    view.setUint32(at + 12, hash, true);
    area.set(name, at + ENTRY_BYTES);
    area.set(value, valueAt);
    at += ENTRY_BYTES + align4(name.length);
    return hash;
  });
}

function bytesOf({ name, value }: Attribute): number {
  return ENTRY_BYTES + align4(name.length) + align4(value.length);
}

/** The hash by which the kernel finds blocks with the same attributes (fs/ext4/xattr.c). */
function hashOf({ name, value }: Attribute): number {
  let hash = 0;
  for (const byte of name) hash = (rotate(hash, 5) ^ byte) >>> 0;
  const padded = new Uint8Array(align4(value.length));
  padded.set(value);
  const view = new DataView(padded.buffer);
  for (let at = 0; at < padded.length; at += 4) {
    hash = (rotate(hash, 16) ^ view.getUint32(at, true)) >>> 0;
  }
  return hash;
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

function align4(length: number): number {
  return (length + 3) & ~3;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
