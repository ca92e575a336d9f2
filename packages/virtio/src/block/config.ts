import { ConfigSpace } from "../device.ts";
import { SECTOR_BYTES } from "./backend.ts";

/** Feature bits of the block device (virtio 1.2, 5.2.3). */
export const BlockFeature = {
  SegMax: 1n << 2n,
  ReadOnly: 1n << 5n,
  BlockSize: 1n << 6n,
  Flush: 1n << 9n,
  Topology: 1n << 10n,
  ConfigWce: 1n << 11n,
  MultiQueue: 1n << 12n,
  Discard: 1n << 13n,
  WriteZeroes: 1n << 14n,
} as const;

/** Request types (virtio 1.2, 5.2.6). */
export const RequestType = {
  In: 0,
  Out: 1,
  Flush: 4,
  GetId: 8,
  Discard: 11,
  WriteZeroes: 13,
} as const;

/** Status bytes (virtio 1.2, 5.2.6). */
export const RequestStatus = { Ok: 0, IoError: 1, Unsupported: 2 } as const;

/** The most ranges one DISCARD or WRITE_ZEROES request may name, and sectors one range may have. */
export const MAX_RANGES = 32;
export const MAX_RANGE_SECTORS = 0x3f_ffff;

const CONFIG_BYTES = 60;
const Offset = {
  Capacity: 0,
  SegMax: 12,
  BlockSize: 20,
  PhysicalBlockExponent: 24,
  MinimumIo: 26,
  OptimalIo: 28,
  Writeback: 32,
  Queues: 34,
  MaxDiscardSectors: 36,
  MaxDiscardRanges: 40,
  DiscardAlignment: 44,
  MaxZeroSectors: 48,
  MaxZeroRanges: 52,
  ZeroMayUnmap: 56,
} as const;

/** The block device's configuration (virtio 1.2, 5.2.4). */
export class BlockConfig extends ConfigSpace {
  constructor(shape: { queues: number; queueSize: number }, onWriteback: () => void) {
    super(CONFIG_BYTES, (offset, bytes) => {
      if (offset !== Offset.Writeback || bytes.length !== 1) return;
      this.bytes[offset] = bytes[0] === 0 ? 0 : 1;
      onWriteback();
    });
    const { view } = this;
    // A header and a status byte surround the segments in a request's descriptors.
    view.setUint32(Offset.SegMax, Math.max(1, shape.queueSize - 2), true);
    view.setUint32(Offset.BlockSize, SECTOR_BYTES, true);
    view.setUint8(Offset.PhysicalBlockExponent, 3);
    view.setUint16(Offset.MinimumIo, 8, true);
    view.setUint32(Offset.OptimalIo, 128, true);
    view.setUint8(Offset.Writeback, 1);
    view.setUint16(Offset.Queues, shape.queues, true);
    view.setUint32(Offset.MaxDiscardSectors, MAX_RANGE_SECTORS, true);
    view.setUint32(Offset.MaxDiscardRanges, MAX_RANGES, true);
    view.setUint32(Offset.DiscardAlignment, 8, true);
    view.setUint32(Offset.MaxZeroSectors, MAX_RANGE_SECTORS, true);
    view.setUint32(Offset.MaxZeroRanges, MAX_RANGES, true);
    view.setUint8(Offset.ZeroMayUnmap, 1);
  }

  set capacity(bytes: number) {
    this.view.setBigUint64(Offset.Capacity, BigInt(Math.floor(bytes / SECTOR_BYTES)), true);
  }

  get writeback(): boolean {
    return this.bytes[Offset.Writeback] === 1;
  }

  set writeback(on: boolean) {
    this.bytes[Offset.Writeback] = on ? 1 : 0;
  }
}
