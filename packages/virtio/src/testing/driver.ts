import { GuestMemory } from "@queztl/memory";
import type { BusHandler } from "@queztl/memory";
import { Feature } from "../device.ts";
import type { VirtioDevice } from "../device.ts";
import { MmioTransport } from "../transport/mmio.ts";

/** One buffer of a request as the driver gives it: bytes for the device to read, or room for it to write. */
export type Buffer = Uint8Array | number;

/** A request the device returned: the bytes it wrote, of all the writable buffers in order. */
export interface Completion {
  readonly head: number;
  readonly written: number;
  readonly data: Uint8Array<ArrayBuffer>;
}

interface Pending {
  readonly descriptors: readonly number[];
  readonly writable: readonly { address: number; length: number }[];
  readonly pages: readonly { address: number; length: number }[];
}

const PAGE = 4096;

/** Guest-physical pages for a test's buffers: first fit, given back on completion. */
class PageAllocator {
  #free: { address: number; length: number }[];

  constructor(start: number, end: number) {
    this.#free = [{ address: start, length: end - start }];
  }

  take(bytes: number): { address: number; length: number } {
    const length = Math.max(PAGE, Math.ceil(bytes / PAGE) * PAGE);
    const hole = this.#free.find((range) => range.length >= length);
    if (hole === undefined) throw new Error("the mock guest has no memory left");
    const address = hole.address;
    hole.address += length;
    hole.length -= length;
    return { address, length };
  }

  give(range: { address: number; length: number }): void {
    this.#free.push({ ...range });
    this.#free.sort((a, b) => a.address - b.address);
    const merged: { address: number; length: number }[] = [];
    for (const next of this.#free) {
      const last = merged.at(-1);
      if (last && last.address + last.length === next.address) last.length += next.length;
      else if (next.length > 0) merged.push(next);
    }
    this.#free = merged;
  }
}

/** The driver's side of one split queue: it lays out rings in guest memory as Linux does. */
export class DriverQueue {
  readonly index: number;
  readonly size: number;
  readonly descriptors: number;
  readonly driverRing: number;
  readonly deviceRing: number;
  /** How many buffers go through an indirect table: at least this many; Infinity for never. */
  indirectFrom = Infinity;

  readonly #driver: MockDriver;
  readonly #pending = new Map<number, Pending>();
  #free: number[];
  #available = 0;
  #seenUsed = 0;

  constructor(driver: MockDriver, index: number, size: number) {
    this.#driver = driver;
    this.index = index;
    this.size = size;
    this.descriptors = driver.pages.take(size * 16).address;
    this.driverRing = driver.pages.take(6 + size * 2).address;
    this.deviceRing = driver.pages.take(6 + size * 8).address;
    driver.memory.writeBytes(this.descriptors, new Uint8Array(size * 16));
    driver.memory.writeBytes(this.driverRing, new Uint8Array(6 + size * 2));
    driver.memory.writeBytes(this.deviceRing, new Uint8Array(6 + size * 8));
    this.#free = Array.from({ length: size }, (_, i) => i);
  }

  /** Free descriptors. */
  get room(): number {
    return this.#free.length;
  }

  /** Puts a request into the ring without notifying the device; returns its head. */
  add(...buffers: Buffer[]): number {
    const { memory, pages } = this.#driver;
    const taken: { address: number; length: number }[] = [];
    const writable: { address: number; length: number }[] = [];
    const rows = buffers.map((buffer) => {
      const length = typeof buffer === "number" ? buffer : buffer.length;
      const range = pages.take(length);
      taken.push(range);
      if (typeof buffer === "number") writable.push({ address: range.address, length });
      else memory.writeBytes(range.address, buffer);
      return { address: range.address, length, flags: typeof buffer === "number" ? 2 : 0 };
    });
    const used: number[] = [];
    if (rows.length >= this.indirectFrom) {
      const table = pages.take(rows.length * 16);
      taken.push(table);
      rows.forEach((row, i) =>
        this.writeDescriptor(table.address + 16 * i, {
          ...row,
          flags: row.flags | (i + 1 < rows.length ? 1 : 0),
          next: i + 1,
        }),
      );
      const head = this.#takeDescriptor(used);
      this.writeDescriptor(this.descriptors + 16 * head, {
        address: table.address,
        length: rows.length * 16,
        flags: 4,
        next: 0,
      });
    } else {
      const slots = rows.map(() => this.#takeDescriptor(used));
      rows.forEach((row, i) =>
        this.writeDescriptor(this.descriptors + 16 * (slots[i] as number), {
          ...row,
          flags: row.flags | (i + 1 < rows.length ? 1 : 0),
          next: slots[i + 1] ?? 0,
        }),
      );
    }
    const head = used[0] as number;
    this.#pending.set(head, { descriptors: used, writable, pages: taken });
    this.offer(head);
    return head;
  }

  /** Adds a request and notifies the device, with EVENT_IDX only if it asked for that. */
  send(...buffers: Buffer[]): number {
    const before = this.#available;
    const head = this.add(...buffers);
    const now = this.#available;
    const asked =
      ((now - this.availableEvent - 1) & 0xffff) < ((now - before) & 0xffff) ||
      !this.#driver.eventIdx;
    if (asked) this.notify();
    return head;
  }

  notify(): void {
    this.#driver.notify(this.index);
  }

  /** Writes one raw descriptor at a guest-physical address. */
  writeDescriptor(
    at: number,
    d: { address: number; length: number; flags: number; next: number },
  ): void {
    const { memory } = this.#driver;
    memory.writeUint64(at, BigInt(d.address));
    memory.writeUint32(at + 8, d.length);
    memory.writeUint16(at + 12, d.flags);
    memory.writeUint16(at + 14, d.next);
  }

  /** Puts any head into the available ring. */
  offer(head: number): void {
    const { memory } = this.#driver;
    memory.writeUint16(this.driverRing + 4 + 2 * (this.#available & (this.size - 1)), head);
    this.#available = (this.#available + 1) & 0xffff;
    memory.writeUint16(this.driverRing + 2, this.#available);
  }

  /** What the device returned since the last call. */
  poll(): Completion[] {
    const { memory, pages } = this.#driver;
    const done: Completion[] = [];
    while (memory.readUint16(this.deviceRing + 2) !== this.#seenUsed) {
      const at = this.deviceRing + 4 + 8 * (this.#seenUsed & (this.size - 1));
      const head = memory.readUint32(at);
      const written = memory.readUint32(at + 4);
      this.#seenUsed = (this.#seenUsed + 1) & 0xffff;
      const pending = this.#pending.get(head);
      if (pending === undefined) throw new Error(`the device returned head ${head} unasked`);
      this.#pending.delete(head);
      const parts = pending.writable.map((w) => memory.readBytes(w.address, w.length));
      this.#free.push(...pending.descriptors);
      for (const range of pending.pages) pages.give(range);
      done.push({ head, written, data: join(parts) });
    }
    return done;
  }

  /** Waits for the next completion, letting host I/O go on. */
  async next(): Promise<Completion> {
    for (;;) {
      const [first, ...others] = this.poll();
      if (first) {
        if (others.length > 0) throw new Error("several requests completed at once: use poll");
        return first;
      }
      if (this.#driver.needsReset) throw new Error("the device needs a reset");
      await turn();
    }
  }

  /** Waits for `count` completions. */
  async take(count: number): Promise<Completion[]> {
    const all: Completion[] = [];
    while (all.length < count) {
      all.push(...this.poll());
      if (all.length < count) {
        if (this.#driver.needsReset) throw new Error("the device needs a reset");
        await turn();
      }
    }
    return all;
  }

  /** Sets when the device shall interrupt: when it publishes this used index. */
  setUsedEvent(index: number): void {
    this.#driver.memory.writeUint16(this.driverRing + 4 + 2 * this.size, index);
  }

  /** The available index the device wants to be notified about. */
  get availableEvent(): number {
    return this.#driver.memory.readUint16(this.deviceRing + 4 + 8 * this.size);
  }

  /** The used index as the device published it. */
  inspectUsedIndex(): number {
    return this.#driver.memory.readUint16(this.deviceRing + 2);
  }

  #takeDescriptor(used: number[]): number {
    const slot = this.#free.shift();
    if (slot === undefined) throw new Error("the mock driver's queue is full");
    used.push(slot);
    return slot;
  }
}

/** Register offsets of the MMIO transport the driver uses. */
const R = {
  DeviceFeatures: 0x10,
  DeviceFeaturesSelect: 0x14,
  DriverFeatures: 0x20,
  DriverFeaturesSelect: 0x24,
  QueueSelect: 0x30,
  QueueSizeMax: 0x34,
  QueueSize: 0x38,
  QueueReady: 0x44,
  QueueNotify: 0x50,
  InterruptStatus: 0x60,
  InterruptAck: 0x64,
  Status: 0x70,
  Addresses: 0x80,
  Config: 0x100,
} as const;

/**
 * A guest's virtio driver for tests, fuzzers and benches: it talks to a device through the MMIO transport's
 * registers and its own guest memory, as Linux would.
 */
export class MockDriver {
  readonly memory: GuestMemory;
  readonly transport: MmioTransport;
  readonly pages: PageAllocator;
  readonly faults: Error[] = [];
  /** How often the interrupt line rose. */
  interrupts = 0;
  queues: DriverQueue[] = [];
  readonly #bus: BusHandler;

  constructor(
    device: VirtioDevice,
    memory = new GuestMemory({ ramBytes: 8 * 1024 * 1024 }),
    options: { readonly awaitsReset?: boolean } = {},
  ) {
    this.memory = memory;
    this.pages = new PageAllocator(0x1000, memory.ramBytes);
    let level = false;
    this.transport = new MmioTransport({
      ...options,
      memory,
      device,
      line: {
        set: (asserted) => {
          if (asserted && !level) this.interrupts++;
          level = asserted;
        },
      },
      onFault: (error) => this.faults.push(error),
    });
    this.#bus = this.transport;
  }

  get status(): number {
    return this.read(R.Status);
  }

  get needsReset(): boolean {
    return (this.status & 64) !== 0;
  }

  read(offset: number): number {
    return this.#bus.read(offset, 4) >>> 0;
  }

  write(offset: number, value: number): void {
    this.#bus.write(offset, 4, value >>> 0);
  }

  /** Whether EVENT_IDX was agreed on. */
  get eventIdx(): boolean {
    return (this.transport.control.driverFeatures & Feature.RingEventIdx) !== 0n;
  }

  /** The features the device offers. */
  get offered(): bigint {
    let all = 0n;
    for (const select of [0, 1]) {
      this.write(R.DeviceFeaturesSelect, select);
      all |= BigInt(this.read(R.DeviceFeatures)) << BigInt(32 * select);
    }
    return all;
  }

  /** Resets the device and agrees on `features` with VERSION_1; returns whether FEATURES_OK stayed. */
  negotiate(features: bigint): boolean {
    this.write(R.Status, 0);
    this.write(R.Status, 1);
    this.write(R.Status, 3);
    const chosen = features | Feature.Version1;
    for (const select of [0, 1]) {
      this.write(R.DriverFeaturesSelect, select);
      this.write(R.DriverFeatures, Number(BigInt.asUintN(32, chosen >> BigInt(32 * select))));
    }
    this.write(R.Status, 11);
    return (this.status & 8) !== 0;
  }

  /** Lays out a queue of `size` (the largest by default) and enables it. */
  setUpQueue(index: number, size?: number): DriverQueue {
    this.write(R.QueueSelect, index);
    const queue = new DriverQueue(this, index, size ?? this.read(R.QueueSizeMax));
    this.placeQueue(queue);
    return queue;
  }

  /** Writes the registers of a queue. */
  placeQueue(queue: {
    index: number;
    size: number;
    descriptors: number;
    driverRing: number;
    deviceRing: number;
  }): void {
    this.write(R.QueueSelect, queue.index);
    this.write(R.QueueSize, queue.size);
    [queue.descriptors, queue.driverRing, queue.deviceRing].forEach((address, i) => {
      this.write(R.Addresses + 16 * i, address % 2 ** 32);
      this.write(R.Addresses + 16 * i + 4, Math.floor(address / 2 ** 32));
    });
    this.write(R.QueueReady, 1);
  }

  /** The whole start-up: negotiates what the device offers less `without`, enables every queue, DRIVER_OK. */
  start(options: { without?: bigint; size?: number } = {}): this {
    const features = this.offered & ~(options.without ?? Feature.RingEventIdx);
    if (!this.negotiate(features)) throw new Error("the device refused its own features");
    const { queueSizes } = this.transport.control.device;
    this.queues = queueSizes.map((most, i) =>
      this.setUpQueue(i, Math.min(most, options.size ?? 64)),
    );
    this.write(R.Status, 15);
    return this;
  }

  queue(index: number): DriverQueue {
    const queue = this.queues[index];
    if (queue === undefined) throw new Error(`the mock driver has no queue ${index}`);
    return queue;
  }

  notify(queue: number): void {
    this.write(R.QueueNotify, queue);
  }

  /** Acknowledges the interrupt; returns its cause bits. */
  acknowledge(): number {
    const cause = this.read(R.InterruptStatus);
    this.write(R.InterruptAck, cause);
    return cause;
  }

  config(offset: number, size: 1 | 2 | 4): number {
    return this.#bus.read(R.Config + offset, size) >>> 0;
  }

  writeConfig(offset: number, size: 1 | 2 | 4, value: number): void {
    this.#bus.write(R.Config + offset, size, value);
  }
}

/** Lets everything the host has ready happen. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Waits until `condition` holds, for at most `turns` turns of the event loop. */
export async function until(condition: () => boolean, turns = 20_000): Promise<void> {
  for (let i = 0; i < turns; i++) {
    if (condition()) return;
    await turn();
  }
  throw new Error(`still not so after ${turns} turns: ${condition.toString()}`);
}

export function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Bytes that differ from place to place, so that a misplaced one shows. */
export function pattern(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let x = seed >>> 0 || 1;
  for (let i = 0; i < length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    bytes[i] = x;
  }
  return bytes;
}
