import { memoryError } from "./errors.ts";
import type { GuestMemory } from "./guest-memory.ts";
import { LOW_RAM_TOP, PAGE_BYTES } from "./guest-memory.ts";

/** The size of the header at the start of a snapshot; the page table follows it. */
export const HEADER_BYTES = 4096;

/**
 * What the image is aligned to, so that it can be mapped by hosts with pages of up to 64 KiB over a
 * WebAssembly memory, whose own unit this is.
 */
const IMAGE_ALIGN = 65536;

/** The layout's version; it changes with every incompatible change of the layout. */
export const SNAPSHOT_VERSION = 1;

/** "QZMEMORY". */
const MAGIC = [0x51, 0x5a, 0x4d, 0x45, 0x4d, 0x4f, 0x52, 0x59] as const;
const ID_BYTES = 16;

/** One byte of the page table: one of the first three, and perhaps `ReadOnly`. */
export const PageState = {
  /** Only in increments: the page is as in the snapshot before. */
  Unchanged: 0,
  Zero: 1,
  /** The page's bytes are in the image. */
  Stored: 2,
  ReadOnly: 0x80,
} as const;
const STATE_MASK = 0x7f;

// Offsets in the header; all integers are little-endian.
const AT = {
  magic: 0,
  version: 8,
  pageBytes: 12,
  ramBytes: 16,
  lowRamTop: 24,
  imageOffset: 32,
  storedPages: 40,
  tableChecksum: 48,
  id: 64,
  parent: 80,
  checksum: HEADER_BYTES - 4,
} as const;

/** What a snapshot says about itself. */
export interface MemorySnapshot {
  /** 32 hexadecimal digits, random, by which increments name their parent. */
  readonly id: string;
  /** The snapshot that this one is an increment of; absent for one that stands alone. */
  readonly parent?: string;
  readonly ramBytes: number;
  /** Pages whose bytes are in the image; all others are zero, or unchanged in an increment. */
  readonly storedPages: number;
  /** Where the image of the RAM starts. */
  readonly imageOffset: number;
  /** The length of the whole snapshot, holes counted in. */
  readonly bytes: number;
}

/** Where the image starts in a snapshot of a RAM of this size. */
export function imageOffsetOf(ramBytes: number): number {
  return Math.ceil((HEADER_BYTES + ramBytes / PAGE_BYTES) / IMAGE_ALIGN) * IMAGE_ALIGN;
}

export function encodeHeader(
  snapshot: MemorySnapshot,
  table: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(HEADER_BYTES);
  const view = new DataView(header.buffer);
  header.set(MAGIC, AT.magic);
  view.setUint32(AT.version, SNAPSHOT_VERSION, true);
  view.setUint32(AT.pageBytes, PAGE_BYTES, true);
  view.setBigUint64(AT.ramBytes, BigInt(snapshot.ramBytes), true);
  view.setBigUint64(AT.lowRamTop, BigInt(LOW_RAM_TOP), true);
  view.setBigUint64(AT.imageOffset, BigInt(snapshot.imageOffset), true);
  view.setBigUint64(AT.storedPages, BigInt(snapshot.storedPages), true);
  view.setUint32(AT.tableChecksum, checksum(table.buffer), true);
  header.set(fromHex(snapshot.id), AT.id);
  if (snapshot.parent !== undefined) header.set(fromHex(snapshot.parent), AT.parent);
  view.setUint32(AT.checksum, headerChecksum(header), true);
  return header;
}

/** Reads a header. @throws QZ_MEMORY_SNAPSHOT when it is none, damaged, or of another version. */
export function decodeHeader(header: Uint8Array<ArrayBuffer>): MemorySnapshot {
  const view = new DataView(header.buffer, header.byteOffset, HEADER_BYTES);
  const number = (at: number) => Number(view.getBigUint64(at, true));
  if (MAGIC.some((byte, i) => header[AT.magic + i] !== byte))
    throw bad("it does not begin like one");
  const version = view.getUint32(AT.version, true);
  if (version !== SNAPSHOT_VERSION)
    throw bad(`its layout is version ${version}, this is version ${SNAPSHOT_VERSION}`);
  if (view.getUint32(AT.checksum, true) !== headerChecksum(header))
    throw bad("its header is damaged");
  const ramBytes = number(AT.ramBytes);
  const imageOffset = number(AT.imageOffset);
  const sameShape =
    view.getUint32(AT.pageBytes, true) === PAGE_BYTES &&
    number(AT.lowRamTop) === LOW_RAM_TOP &&
    imageOffset === imageOffsetOf(ramBytes);
  if (!sameShape) throw bad("its pages or its memory hole are not this platform's");
  const parent = header.subarray(AT.parent, AT.parent + ID_BYTES);
  return {
    id: toHex(header.subarray(AT.id, AT.id + ID_BYTES)),
    ...(parent.some((byte) => byte !== 0) && { parent: toHex(parent) }),
    ramBytes,
    storedPages: number(AT.storedPages),
    imageOffset,
    bytes: imageOffset + ramBytes,
  };
}

/**
 * A page table for this many pages, all of them zero. Its buffer is a whole number of words, so that checks
 * can take four entries at once; the filling entries are zero pages too.
 */
export function createTable(pages: number): Uint8Array<ArrayBuffer> {
  const padded = new Uint8Array(Math.ceil(pages / 4) * 4).fill(PageState.Zero);
  return padded.subarray(0, pages);
}

/** Checks a page table against its header. @throws QZ_MEMORY_SNAPSHOT */
export function checkTable(
  header: Uint8Array<ArrayBuffer>,
  snapshot: MemorySnapshot,
  table: Uint8Array<ArrayBuffer>,
): void {
  const expected = new DataView(header.buffer, header.byteOffset).getUint32(AT.tableChecksum, true);
  if (checksum(table.buffer) !== expected) throw bad("its page table is damaged");
  const whole = snapshot.parent === undefined;
  let stored = 0;
  const words = new Int32Array(table.buffer);
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as number;
    // In each byte only one of the two lowest bits may be set, and one must be unless it is an increment.
    const ones = word & 0x01010101;
    const twos = (word >>> 1) & 0x01010101;
    const possible = (word & 0x7c7c7c7c) === 0 && (ones & twos) === 0;
    if (!possible || (whole && (ones | twos) !== 0x01010101))
      throw bad("its page table is not possible");
    stored += Math.imul(twos, 0x01010101) >>> 24;
  }
  if (stored !== snapshot.storedPages) throw bad("its page table does not fit its header");
}

/** @throws QZ_MEMORY_SNAPSHOT for a snapshot of a RAM of another size. */
export function checkShape(snapshot: MemorySnapshot, memory: GuestMemory): void {
  if (snapshot.ramBytes === memory.ramBytes) return;
  throw bad(`it has ${snapshot.ramBytes} bytes of RAM, this memory has ${memory.ramBytes}`);
}

/** The state in an entry of the page table, without `ReadOnly`. */
export function stateOf(entry: number | undefined): number {
  return (entry ?? 0) & STATE_MASK;
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @throws QZ_MEMORY_SNAPSHOT for what is no snapshot's id. */
export function fromHex(id: string): Uint8Array {
  if (!/^[0-9a-f]{32}$/.test(id)) throw bad(`${JSON.stringify(id)} is no snapshot's id`);
  return Uint8Array.from({ length: ID_BYTES }, (_, i) => parseInt(id.slice(2 * i, 2 * i + 2), 16));
}

export function bad(reason: string): Error {
  return memoryError("QZ_MEMORY_SNAPSHOT", { reason });
}

/** Over all of the header but the checksum itself. */
function headerChecksum(header: Uint8Array): number {
  return checksum(header.slice(0, AT.checksum).buffer);
}

/** FNV-1a over 32-bit words: finds damage by accident, not by intent. */
function checksum(bytes: ArrayBuffer): number {
  const words = new Int32Array(bytes);
  let hash = 0x811c9dc5;
  for (let i = 0; i < words.length; i++) hash = Math.imul(hash ^ (words[i] as number), 0x01000193);
  return hash >>> 0;
}
