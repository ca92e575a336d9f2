import { isWhole } from "../state.ts";

/** A queue as the driver describes it before enabling it. */
export interface QueueRegisters {
  size: number;
  enabled: boolean;
  /** Guest-physical addresses as the driver wrote them, in two halves each: low, high. */
  descriptors: [number, number];
  driverRing: [number, number];
  deviceRing: [number, number];
}

/** The 64-bit addresses of a queue, in the order both transports lay them out. */
export const QUEUE_ADDRESSES = ["descriptors", "driverRing", "deviceRing"] as const;
export type QueueAddress = (typeof QUEUE_ADDRESSES)[number];

/** Sets the low or high 32 bits of a queue's address. */
export function setAddressHalf(
  queue: QueueRegisters,
  name: QueueAddress,
  half: 0 | 1,
  value: number,
): void {
  queue[name][half] = value >>> 0;
}

/** Bits of the interrupt status register of both transports. */
export const IsrBit = { Queue: 1, Config: 2 } as const;

/** Whether saved values are three registers of 32 bits. */
export function areSelectors(saved: unknown): boolean {
  return (
    Array.isArray(saved) &&
    saved.length === 3 &&
    saved.every((value) => isWhole(value, 0xffff_ffff))
  );
}
