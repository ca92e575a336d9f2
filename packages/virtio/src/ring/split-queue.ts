import type { GuestMemory } from "@queztl/memory";
import { virtioError } from "../errors.ts";
import { DescriptorChain } from "./descriptor-chain.ts";
import type { Segment } from "./descriptor-chain.ts";

const DESCRIPTOR_BYTES = 16;
const Flag = { Next: 1, Write: 2, Indirect: 4 } as const;
const NO_INTERRUPT = 1;
const CHAIN_LIMIT_BYTES = 2 ** 32;

/** Where the driver put a queue, in guest-physical addresses, and how large it is (virtio 1.2, 2.7). */
export interface QueueLayout {
  readonly index: number;
  /** Number of descriptors, a power of two. */
  readonly size: number;
  readonly descriptors: number;
  readonly driverRing: number;
  readonly deviceRing: number;
}

/** What a queue needs from the transport that owns it. */
export interface QueueOptions {
  readonly indirect: boolean;
  readonly eventIdx: boolean;
  /** The largest size the device offers: the bound on the entries of an indirect table. */
  readonly maxSize: number;
  /** Raises the queue's interrupt. */
  interrupt(): void;
}

/** A queue's progress: with the guest's memory it is all that is needed to go on elsewhere. */
export interface QueueProgress {
  /** The next index of the available ring to take, and of the used ring to publish. */
  readonly nextAvailable: number;
  readonly nextUsed: number;
  /** Heads of the chains taken and not yet returned, in the order they were taken. */
  readonly inFlight: readonly number[];
}

/**
 * The device's side of a split virtqueue (virtio 1.2, 2.7), with indirect descriptors and event indices.
 * Chains that were in flight when a queue was saved are handed out again first, so a device that pops
 * from its queues resubmits them without knowing.
 */
export class SplitQueue {
  readonly index: number;
  readonly size: number;

  readonly #memory: GuestMemory;
  readonly #options: QueueOptions;
  readonly #u16: Uint16Array;
  /** Offsets in the WebAssembly memory. */
  readonly #descriptors: number;
  readonly #driverRing: number;
  readonly #deviceRing: number;
  readonly #inFlight = new Set<number>();
  #again: number[] = [];
  #nextAvailable = 0;
  #nextUsed = 0;
  #publishedUsed = 0;
  #closed = false;
  #held = false;

  /** @throws QZ_VIRTIO_RING when the size is no power of two, or a ring is misaligned or not wholly in RAM. */
  constructor(memory: GuestMemory, layout: QueueLayout, options: QueueOptions) {
    this.index = layout.index;
    this.size = layout.size;
    this.#memory = memory;
    this.#options = options;
    this.#u16 = new Uint16Array(memory.bytes.buffer);
    const { size } = layout;
    if (!(size >= 1 && size <= options.maxSize && (size & (size - 1)) === 0))
      throw this.#badRing(`a size of ${size} is not a power of two up to ${options.maxSize}`);
    const place = (what: string, address: number, length: number, align: number): number => {
      if (address % align !== 0)
        throw this.#badRing(`the ${what} is not aligned to ${align} bytes`);
      const offset = memory.offsetOf(address, length);
      if (offset < 0) throw this.#badRing(`the ${what} is not wholly inside RAM`);
      return offset;
    };
    this.#descriptors = place("descriptor table", layout.descriptors, size * DESCRIPTOR_BYTES, 16);
    this.#driverRing = place("available ring", layout.driverRing, 6 + 2 * size, 2);
    this.#deviceRing = place("used ring", layout.deviceRing, 6 + 8 * size, 4);
  }

  /** Whether the device was reset or unplugged: nothing touches the guest any more. */
  get closed(): boolean {
    return this.#closed;
  }

  /** How many chains the device holds. */
  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** While held, `pop` finds nothing; chains already taken can still be completed. */
  hold(held: boolean): void {
    this.#held = held;
  }

  close(): void {
    this.#closed = true;
  }

  /**
   * The next chain of the driver, or undefined when there is none; then the driver will notify about the
   * next one.
   * @throws QZ_VIRTIO_RING or QZ_VIRTIO_CHAIN when the driver breaks the rules.
   */
  pop(): DescriptorChain | undefined {
    if (this.#closed || this.#held) return undefined;
    const again = this.#again.shift();
    if (again !== undefined) return this.#chain(again);
    if (this.#waiting() === 0) {
      if (!this.#options.eventIdx) return undefined;
      this.#store(this.#deviceRing + 4 + 8 * this.size, this.#nextAvailable);
      // The driver may have added one before it saw the event index.
      if (this.#waiting() === 0) return undefined;
    }
    const slot = this.#nextAvailable & (this.size - 1);
    const head = this.#load(this.#driverRing + 4 + 2 * slot);
    if (head >= this.size) throw this.#badRing(`head ${head} is not a descriptor`);
    if (this.#inFlight.has(head)) throw this.#badRing(`head ${head} is in flight already`);
    const chain = this.#chain(head);
    this.#nextAvailable = (this.#nextAvailable + 1) & 0xffff;
    this.#inFlight.add(head);
    return chain;
  }

  /** Gives back a chain that was not used: the next `pop` finds it first. */
  putBack(chain: DescriptorChain): void {
    if (!this.#closed) this.#again.unshift(chain.head);
  }

  /** Whether the driver has a chain ready, without taking it. */
  get ready(): boolean {
    return !this.#closed && !this.#held && (this.#again.length > 0 || this.#waiting() !== 0);
  }

  /** Returns a chain of which the device wrote the first `written` bytes; `publish` shows it to the driver. */
  complete(chain: DescriptorChain, written: number): void {
    if (this.#closed || !this.#inFlight.delete(chain.head)) return;
    const at = this.#deviceRing + 4 + 8 * (this.#nextUsed & (this.size - 1));
    if (this.#memory.beforeWrite(at, 8)) {
      this.#memory.view.setUint32(at, chain.head, true);
      this.#memory.view.setUint32(at + 4, written, true);
    }
    this.#nextUsed = (this.#nextUsed + 1) & 0xffff;
  }

  /** Shows the driver all completed chains at once and interrupts it if it asked for that. */
  publish(): void {
    if (this.#closed || this.#nextUsed === this.#publishedUsed) return;
    const before = this.#publishedUsed;
    const now = (this.#publishedUsed = this.#nextUsed);
    this.#store(this.#deviceRing + 2, now);
    if (this.#options.eventIdx) {
      const event = this.#load(this.#driverRing + 4 + 2 * this.size);
      const passed = ((now - event - 1) & 0xffff) < ((now - before) & 0xffff);
      if (passed) this.#options.interrupt();
    } else if ((this.#load(this.#driverRing) & NO_INTERRUPT) === 0) {
      this.#options.interrupt();
    }
  }

  save(): QueueProgress {
    return {
      nextAvailable: this.#nextAvailable,
      nextUsed: this.#nextUsed,
      inFlight: [...this.#inFlight],
    };
  }

  /** @throws QZ_VIRTIO_STATE when the indices cannot be of this queue. */
  restore(progress: QueueProgress): void {
    const index = (n: number): boolean => Number.isInteger(n) && n >= 0 && n <= 0xffff;
    const listed: unknown = progress?.inFlight;
    const heads = new Set(Array.isArray(listed) ? progress.inFlight : []);
    const possible =
      Array.isArray(listed) &&
      index(progress.nextAvailable) &&
      index(progress.nextUsed) &&
      heads.size === progress.inFlight.length &&
      progress.inFlight.every((head) => Number.isInteger(head) && head >= 0 && head < this.size);
    if (!possible) {
      throw virtioError("QZ_VIRTIO_STATE", { device: "queue", reason: "its indices do not fit" });
    }
    this.#nextAvailable = progress.nextAvailable;
    this.#nextUsed = this.#publishedUsed = progress.nextUsed;
    this.#again = [...progress.inFlight];
    for (const head of heads) this.#inFlight.add(head);
  }

  #waiting(): number {
    const available = this.#load(this.#driverRing + 2);
    const waiting = (available - this.#nextAvailable) & 0xffff;
    if (waiting > this.size) throw this.#badRing(`the available index ran ${waiting} ahead`);
    return waiting;
  }

  /** Reads each descriptor of a chain once and checks it (virtio 1.2, 2.7.5). */
  #chain(head: number): DescriptorChain {
    const { view } = this.#memory;
    const readable: Segment[] = [];
    const writable: Segment[] = [];
    let total = 0;
    let table = this.#descriptors;
    let entries = this.size;
    let limit = this.size;
    let seen = 0;
    let inIndirect = false;
    let at = head;
    for (;;) {
      if (at >= entries) throw this.#badChain(`descriptor ${at} is outside its table`);
      if (seen++ === limit) throw this.#badChain(`it has more than ${limit} descriptors`);
      const descriptor = table + at * DESCRIPTOR_BYTES;
      const addressLow = view.getUint32(descriptor, true);
      const addressHigh = view.getUint32(descriptor + 4, true);
      const length = view.getUint32(descriptor + 8, true);
      const flags = view.getUint16(descriptor + 12, true);
      const next = view.getUint16(descriptor + 14, true);
      const offset = this.#memory.offsetOf(addressHigh * 2 ** 32 + addressLow, length);
      if (offset < 0) throw this.#badChain("a buffer is not wholly inside RAM");
      if (flags & Flag.Indirect) {
        if (!this.#options.indirect)
          throw this.#badChain("it is indirect, which was not negotiated");
        if (inIndirect) throw this.#badChain("an indirect table holds an indirect descriptor");
        if (flags & Flag.Next) throw this.#badChain("an indirect descriptor has a next one");
        if (length === 0 || length % DESCRIPTOR_BYTES !== 0)
          throw this.#badChain(`an indirect table of ${length} bytes holds no whole descriptors`);
        inIndirect = true;
        table = offset;
        entries = length / DESCRIPTOR_BYTES;
        // A driver that made the ring smaller than offered may still fill a table of the offered size.
        limit = this.#options.maxSize;
        seen--;
        at = 0;
        continue;
      }
      total += length;
      if (total >= CHAIN_LIMIT_BYTES) throw this.#badChain("it is 4 GiB long or longer");
      if (flags & Flag.Write) writable.push({ offset, length });
      else if (writable.length > 0)
        throw this.#badChain("a readable buffer follows a writable one");
      else readable.push({ offset, length });
      if ((flags & Flag.Next) === 0) break;
      at = next;
    }
    return new DescriptorChain(this.#memory, this, head, { readable, writable });
  }

  /** Ring indices are shared with vCPUs on other threads: load and store them in order. */
  #load(offset: number): number {
    return Atomics.load(this.#u16, offset / 2);
  }

  #store(offset: number, value: number): void {
    if (this.#memory.beforeWrite(offset, 2)) Atomics.store(this.#u16, offset / 2, value);
  }

  #badRing(reason: string): Error {
    return virtioError("QZ_VIRTIO_RING", { queue: this.index, reason });
  }

  #badChain(reason: string): Error {
    return virtioError("QZ_VIRTIO_CHAIN", { queue: this.index, reason });
  }
}
