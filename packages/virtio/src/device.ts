import type { Snapshottable } from "@queztl/memory";
import type { SplitQueue } from "./ring/split-queue.ts";

/** Feature bits that are not of one device (virtio 1.2, 6); each device's own are in its `config.ts`. */
export const Feature = {
  RingIndirectDesc: 1n << 28n,
  RingEventIdx: 1n << 29n,
  Version1: 1n << 32n,
} as const;

/**
 * The time from the driver's DRIVER_OK to the next reset or unplug. A device keeps the session it was started
 * with and does everything that happens later (host I/O that ends, a timer) through `run`.
 */
export interface DriverSession {
  /** The features both sides agreed on. */
  readonly features: bigint;
  /** False once the device was reset, unplugged or stopped for a fault. */
  readonly alive: boolean;
  /**
   * Whether host I/O may go straight to guest memory: the driver sees a reset as done, and takes its memory back, only once
   * the device is not `busy`.
   */
  readonly direct: boolean;
  /** The queue, if the driver enabled it. */
  queue(index: number): SplitQueue | undefined;
  /**
   * Does `work` unless the session is over. What it throws ends the session with DEVICE_NEEDS_RESET and goes
   * to the transport's `onFault`; it never reaches the caller.
   */
  run(work: () => void): void;
  /** Runs `work` after the host's pending events had their turn. */
  later(work: () => void): void;
}

/** Numbers that only grow, by name: what a device did since it was made. */
export type Counters = Readonly<Record<string, number>>;

/** The bytes a driver sees as the device's configuration (virtio 1.2, 2.5). */
export class ConfigSpace {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Grows with each change the device makes, so that a driver can read wide fields whole. */
  generation = 0;
  /** Set by the transport: tells the driver of a change. */
  onChange: () => void = () => {};
  readonly #write: ((offset: number, bytes: Uint8Array) => void) | undefined;

  /** @param write called with what the driver writes; without it the space is read-only for the driver. */
  constructor(length: number, write?: (offset: number, bytes: Uint8Array) => void) {
    this.bytes = new Uint8Array(length);
    this.view = new DataView(this.bytes.buffer);
    this.#write = write;
  }

  /** Tells the driver that the device changed the bytes. */
  changed(): void {
    this.generation = (this.generation + 1) >>> 0;
    this.onChange();
  }

  /** A driver's read; bytes past the end read as 0. */
  read(offset: number, size: number): number {
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + (this.bytes[offset + i] ?? 0);
    return value;
  }

  /** A driver's write; bytes past the end go nowhere. */
  write(offset: number, size: number, value: number): void {
    if (this.#write === undefined || offset + size > this.bytes.length) return;
    const bytes = new Uint8Array(size);
    for (let i = 0; i < size; i++) bytes[i] = Math.floor(value / 256 ** i);
    this.#write(offset, bytes);
  }
}

/**
 * A virtio device behind either transport. It is started when the driver is ready, told about each queue the
 * driver notifies, and stopped at reset or unplug. Guest faults are thrown, as coded errors.
 */
export interface VirtioDevice<
  State extends { readonly version: number } = { readonly version: number },
> extends Snapshottable<State> {
  /** The device's number in the specification (virtio 1.2, 5), e.g. 2 for block. */
  readonly type: number;
  readonly name: string;
  /** The device's own features; the transport adds VERSION_1, INDIRECT_DESC and EVENT_IDX. */
  readonly features: bigint;
  /** The largest size of each queue, powers of two. */
  readonly queueSizes: readonly number[];
  readonly config: ConfigSpace;
  readonly counters: Counters;
  /** Whether the driver's choice makes sense as a whole (a feature without the one it needs does not). */
  acceptsFeatures?(features: bigint): boolean;
  start(session: DriverSession): void;
  /** The driver put something into the queue. */
  notify(queue: number): void;
  /** Forgets the driver: its session is over and every field it set goes back to the default. */
  stop(): void;
  /** Whether host I/O on behalf of the guest is running. */
  readonly busy?: boolean;
  /** Resolves once no host I/O on behalf of the guest is running. The queues are held meanwhile. */
  settled?(): Promise<void>;
  /** Gives host resources back (files, sockets) when the device is unplugged or the machine ends. */
  close?(): Promise<void>;
}
