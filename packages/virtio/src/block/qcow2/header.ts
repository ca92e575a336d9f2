import { virtioError } from "../../errors.ts";

/** The fields of a qcow2 header that matter here (QEMU docs/interop/qcow2.txt). */
export interface Qcow2Header {
  readonly version: 2 | 3;
  readonly clusterBits: number;
  /** Bytes of the disk. */
  readonly capacity: number;
  readonly l1Entries: number;
  readonly l1Offset: number;
  readonly refcountTableOffset: number;
  readonly refcountTableClusters: number;
  /** A reference count has 2^refcountOrder bits. */
  readonly refcountOrder: number;
  readonly snapshots: number;
  readonly dirty: boolean;
  readonly corrupt: boolean;
  /** Name of the backing file, which is never followed. */
  readonly backing: string | undefined;
}

export const HEADER_BYTES = 104;
const MAGIC = 0x5146_49fb;
const MAX_CAPACITY = 2 ** 46;
const MAX_L1_BYTES = 32 * 1024 * 1024;
const MAX_REFCOUNT_TABLE_BYTES = 8 * 1024 * 1024;
const MAX_BACKING_NAME = 1023;

const Incompatible = { Dirty: 1n, Corrupt: 2n } as const;
const INCOMPATIBLE_NAMES = [
  "",
  "",
  "an external data file",
  "zstd compression",
  "extended L2 entries",
];

export const HeaderOffset = {
  RefcountTable: 48,
  Autoclear: 88,
} as const;

export function badImage(reason: string): Error {
  return virtioError("QZ_VIRTIO_IMAGE", { reason });
}

/**
 * Reads and checks a header. `bytes` are the first of the file, at least 1 KiB more than the header; `fileBytes`
 * bounds every offset.
 * @throws QZ_VIRTIO_IMAGE
 */
export function parseHeader(bytes: Uint8Array, fileBytes: number): Qcow2Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const wide = (at: number): number => {
    const value = view.getBigUint64(at);
    if (value > BigInt(Number.MAX_SAFE_INTEGER))
      throw badImage(`an offset of ${value} is no offset`);
    return Number(value);
  };
  if (view.getUint32(0) !== MAGIC) throw badImage("it does not begin as one");
  const version = view.getUint32(4);
  if (version !== 2 && version !== 3) throw badImage(`version ${version} is not known`);
  const clusterBits = view.getUint32(20);
  if (clusterBits < 9 || clusterBits > 21)
    throw badImage(`clusters of 2^${clusterBits} bytes are out of range`);
  const clusterBytes = 2 ** clusterBits;
  if (view.getUint32(32) !== 0) throw badImage("it is encrypted: decrypt it first");
  const incompatible = version === 3 ? view.getBigUint64(72) : 0n;
  const unknown = incompatible & ~(Incompatible.Dirty | Incompatible.Corrupt);
  if (unknown !== 0n) {
    const bit = unknown.toString(2).length - 1;
    throw badImage(`it needs ${INCOMPATIBLE_NAMES[bit] ?? `feature ${bit}`}: convert it first`);
  }
  const refcountOrder = version === 3 ? view.getUint32(96) : 4;
  if (refcountOrder > 6) throw badImage(`reference counts of 2^${refcountOrder} bits`);
  const headerBytes = version === 3 ? view.getUint32(100) : 72;
  if (version === 3 && (headerBytes < HEADER_BYTES || headerBytes > clusterBytes))
    throw badImage(`a header of ${headerBytes} bytes`);
  const capacity = wide(24);
  if (capacity > MAX_CAPACITY) throw badImage(`a disk of ${capacity} bytes`);
  const l1Entries = view.getUint32(36);
  const needed = Math.ceil(capacity / (clusterBytes * (clusterBytes / 8)));
  if (l1Entries < needed || l1Entries * 8 > MAX_L1_BYTES)
    throw badImage(`an L1 table of ${l1Entries} entries for ${capacity} bytes`);
  const refcountTableClusters = view.getUint32(56);
  const tableBytes = refcountTableClusters * clusterBytes;
  if (tableBytes > MAX_REFCOUNT_TABLE_BYTES)
    throw badImage(`${tableBytes} bytes of refcount table`);
  const place = (what: string, offset: number, length: number): number => {
    if (offset % clusterBytes !== 0) throw badImage(`its ${what} is not aligned to a cluster`);
    if (offset + length > fileBytes) throw badImage(`its ${what} is past the end of the file`);
    return offset;
  };
  return {
    version,
    clusterBits,
    capacity: capacity - (capacity % 512),
    l1Entries,
    l1Offset: place("L1 table", wide(40), l1Entries * 8),
    refcountTableOffset: place("refcount table", wide(48), tableBytes),
    refcountTableClusters,
    refcountOrder,
    snapshots: view.getUint32(60),
    dirty: (incompatible & Incompatible.Dirty) !== 0n,
    corrupt: (incompatible & Incompatible.Corrupt) !== 0n,
    backing: backingName(bytes, wide(8), view.getUint32(16)),
  };
}

function backingName(bytes: Uint8Array, offset: number, length: number): string | undefined {
  if (offset === 0 || length === 0) return undefined;
  if (length > MAX_BACKING_NAME) throw badImage(`a backing file name of ${length} bytes`);
  if (offset + length > bytes.length) return "(a name beyond the header)";
  return new TextDecoder().decode(new Uint8Array(bytes.subarray(offset, offset + length)));
}

/** The header of a new image of version 3. */
export function formatHeader(
  header: Omit<Qcow2Header, "version" | "dirty" | "corrupt" | "snapshots">,
): Uint8Array {
  const name = new TextEncoder().encode(header.backing ?? "");
  const bytes = new Uint8Array(2 ** header.clusterBits);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC);
  view.setUint32(4, 3);
  view.setUint32(20, header.clusterBits);
  view.setBigUint64(24, BigInt(header.capacity));
  view.setUint32(36, header.l1Entries);
  view.setBigUint64(40, BigInt(header.l1Offset));
  view.setBigUint64(HeaderOffset.RefcountTable, BigInt(header.refcountTableOffset));
  view.setUint32(56, header.refcountTableClusters);
  view.setUint32(96, header.refcountOrder);
  view.setUint32(100, HEADER_BYTES);
  if (name.length === 0) return bytes;
  // After the header comes the list of extensions, which its end marker of 8 zero bytes ends at once.
  const at = HEADER_BYTES + 8;
  if (name.length > Math.min(MAX_BACKING_NAME, bytes.length - at))
    throw badImage("the backing file's name is too long");
  view.setBigUint64(8, BigInt(at));
  view.setUint32(16, name.length);
  bytes.set(name, at);
  return bytes;
}
