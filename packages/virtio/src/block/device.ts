import type { Clock, Timer } from "@queztl/memory";
import type { DriverSession, VirtioDevice } from "../device.ts";
import { virtioError } from "../errors.ts";
import type { DescriptorChain } from "../ring/descriptor-chain.ts";
import type { SplitQueue } from "../ring/split-queue.ts";
import { SECTOR_BYTES } from "./backend.ts";
import type { BlockBackend } from "./backend.ts";
import {
  BlockConfig,
  BlockFeature,
  MAX_RANGES,
  MAX_RANGE_SECTORS,
  RequestStatus,
  RequestType,
} from "./config.ts";
import { Pieces } from "./pieces.ts";
import { checkBlockState } from "./state.ts";
import { readVector, writeVector } from "./vector.ts";
import type { BlockState } from "./state.ts";
import { TokenBucket } from "../token-bucket.ts";
import type { RateLimit } from "../token-bucket.ts";

const HEADER_BYTES = 16;
const RANGE_BYTES = 16;
const ID_BYTES = 20;
/** Requests are moved in pieces of this many bytes, and taken while fewer than this many are in host memory. */
const PIECE_BYTES = 1024 * 1024;
const HELD_BYTES = 16 * 1024 * 1024;
const SERVED_AT_ONCE = 512;
/** Reads of at most this many bytes are answered at once where the host has them in memory, and this many in a turn. */
const CACHED_BYTES = 2 * 1024 * 1024;
const CACHED_TURN_BYTES = 16 * 1024 * 1024;

/** How a block device is made. */
export interface BlockDeviceOptions {
  readonly backend: BlockBackend;
  /** Needed for limits: a limit's rate is of guest time. */
  readonly clock?: Clock;
  /** What `/dev/disk/by-id` shows, at most 20 ASCII characters. */
  readonly serial?: string;
  /** Request queues, one for each vCPU where that helps; default 1. */
  readonly queues?: number;
  /** Default 512: a megabyte in pages of 4 KiB is one request. */
  readonly queueSize?: number;
  readonly limits?: { readonly bytes?: RateLimit; readonly requests?: RateLimit };
  /** Told each error of the backend; the guest sees an I/O error. */
  readonly onError?: (error: unknown) => void;
}

/**
 * The block device (virtio 1.2, 5.2). Requests run at the same time on the backend and never hold the vCPU;
 * FLUSH is the backend's `flush`. While the guest has not agreed to FLUSH, or turned the write cache off,
 * each write is flushed before it is answered.
 */
export class BlockDevice implements VirtioDevice<BlockState> {
  readonly type = 2;
  readonly name = "block";
  readonly features: bigint;
  readonly queueSizes: readonly number[];
  readonly config: BlockConfig;
  readonly counters = {
    reads: 0,
    readBytes: 0,
    writes: 0,
    writtenBytes: 0,
    flushes: 0,
    discards: 0,
    zeroed: 0,
    errors: 0,
    throttled: 0,
  };

  readonly #backend: BlockBackend;
  readonly #serial: Uint8Array;
  readonly #clock: Clock | undefined;
  readonly #buckets: { bytes?: TokenBucket; requests?: TokenBucket } = {};
  readonly #onError: (error: unknown) => void;
  readonly #pieces = new Pieces(HELD_BYTES);
  #session: DriverSession | undefined;
  #running = 0;
  #draining = false;
  #served = 0;
  #cachedBytes = 0;
  #heldBytes = 0;
  #timer: Timer | undefined;
  #idle: (() => void)[] = [];

  /** @throws QZ_VIRTIO_OPTIONS */
  constructor(options: BlockDeviceOptions) {
    const { backend, queues = 1, queueSize = 512, limits = {} } = options;
    this.#backend = backend;
    this.#onError = options.onError ?? (() => {});
    this.#serial = new Uint8Array(ID_BYTES);
    this.#serial.set(new TextEncoder().encode(options.serial ?? "").subarray(0, ID_BYTES));
    this.#clock = options.clock;
    if (limits.bytes || limits.requests) {
      if (options.clock === undefined) throw badOption("limits", "given", "they need a clock");
      if (limits.bytes) this.#buckets.bytes = new TokenBucket(options.clock, limits.bytes);
      if (limits.requests) this.#buckets.requests = new TokenBucket(options.clock, limits.requests);
    }
    if (!(Number.isInteger(queues) && queues >= 1 && queues <= 64))
      throw badOption("queues", queues, "it must be 1 to 64");
    this.queueSizes = Array.from({ length: queues }, () => queueSize);
    this.config = new BlockConfig({ queues, queueSize }, () => {
      // From a write-back cache to none: what was acknowledged before must be durable too.
      if (!this.config.writeback) this.#count(this.#backend.flush());
    });
    this.config.capacity = backend.capacity;
    this.features =
      BlockFeature.SegMax |
      BlockFeature.BlockSize |
      BlockFeature.Topology |
      BlockFeature.Flush |
      (queues > 1 ? BlockFeature.MultiQueue : 0n) |
      (backend.readOnly
        ? BlockFeature.ReadOnly
        : BlockFeature.ConfigWce | BlockFeature.Discard | BlockFeature.WriteZeroes);
  }

  /** Tells the driver that the backend's capacity changed. */
  capacityChanged(): void {
    this.config.capacity = this.#backend.capacity;
    this.config.changed();
  }

  start(session: DriverSession): void {
    this.#session = session;
    this.#served = 0;
    this.#cachedBytes = 0;
    // Writes from before a reset must not land behind the new driver's back.
    this.#draining = this.#running > 0;
    if (!this.#draining) return;
    void this.#drain(session);
  }

  notify(index: number): void {
    const session = this.#session;
    const queue = session?.queue(index);
    if (session && queue) this.#take(session, queue);
  }

  stop(): void {
    this.#session = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.config.writeback = true;
  }

  get busy(): boolean {
    return this.#running > 0;
  }

  settled(): Promise<void> {
    if (this.#running === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  async close(): Promise<void> {
    await this.settled();
    await this.#backend.close();
  }

  save(): BlockState {
    return { version: 1, capacity: this.#backend.capacity, writeback: this.config.writeback };
  }

  restore(state: BlockState): void {
    checkBlockState(state, this.#backend.capacity);
    this.config.writeback = state.writeback;
  }

  async #drain(session: DriverSession): Promise<void> {
    await this.settled();
    if (this.#session !== session) return;
    this.#draining = false;
    this.#takeAll(session);
  }

  #takeAll(session: DriverSession): void {
    session.run(() => {
      for (let i = 0; i < this.queueSizes.length; i++) {
        const queue = session.queue(i);
        if (queue) this.#take(session, queue);
      }
    });
  }

  #take(session: DriverSession, queue: SplitQueue): void {
    this.#takeChains(session, queue);
    // What was answered at once.
    queue.publish();
  }

  #takeChains(session: DriverSession, queue: SplitQueue): void {
    while (!this.#draining && this.#heldBytes < HELD_BYTES && this.#mayPass(session)) {
      // Requests that need no host I/O end at once: a guest that refills must not hold the monitor.
      if (this.#served === SERVED_AT_ONCE) return;
      const chain = queue.pop();
      if (chain === undefined) return;
      if (++this.#served === SERVED_AT_ONCE) {
        session.later(() => {
          this.#served = 0;
          this.#takeAll(session);
        });
      }
      this.#serve(session, queue, chain);
    }
  }

  /** Whether the limits let a request pass now; otherwise comes back when they do. */
  #mayPass(session: DriverSession): boolean {
    const { bytes, requests } = this.#buckets;
    if (this.#clock === undefined || (!bytes && !requests)) return true;
    const readyNs = Math.max(bytes?.readyNs() ?? 0, requests?.readyNs() ?? 0);
    if (readyNs <= this.#clock.nowNs()) return true;
    if (this.#timer === undefined) {
      this.counters.throttled++;
      this.#timer = this.#clock.schedule(readyNs, () => {
        this.#timer = undefined;
        this.#takeAll(session);
      });
    }
    return false;
  }

  #serve(session: DriverSession, queue: SplitQueue, chain: DescriptorChain): void {
    if (chain.readableBytes < HEADER_BYTES || chain.writableBytes < 1) {
      throw virtioError("QZ_VIRTIO_REQUEST", {
        device: this.name,
        reason: "it has no room for its header or its status",
      });
    }
    const header = new DataView(chain.readBytes(0, HEADER_BYTES).buffer);
    const type = header.getUint32(0, true);
    const sector = header.getBigUint64(8, true);
    const data =
      type === RequestType.In ? chain.writableBytes - 1 : chain.readableBytes - HEADER_BYTES;
    this.#buckets.requests?.take(1);
    this.#buckets.bytes?.take(data);
    if (type === RequestType.In && this.#readCached(session, chain, sector, data)) {
      this.#complete(queue, chain, RequestStatus.Ok);
      return;
    }
    const copied = this.#isDirect(session) ? 0 : Math.min(data, PIECE_BYTES);
    const held = this.#pieces.lengthFor(copied) + 4096;
    this.#heldBytes += held;
    const answer = async (): Promise<void> => {
      let status: number;
      try {
        status = await this.#execute(session, chain, { type, sector, data });
      } catch (error) {
        this.counters.errors++;
        this.#onError(error);
        status = RequestStatus.IoError;
      }
      this.#heldBytes -= held;
      session.run(() => {
        this.#complete(queue, chain, status);
        queue.publish();
        this.#takeAll(session);
      });
    };
    this.#count(answer());
  }

  #complete(queue: SplitQueue, chain: DescriptorChain, status: number): void {
    chain.write(chain.writableBytes - 1, Uint8Array.of(status));
    queue.complete(chain, status === RequestStatus.Ok ? chain.writableBytes : 1);
  }

  /**
   * Reads what the host has in memory without a way through another thread, which would take longer than the copy and have
   * the guest go to sleep and wake up. Only so much before the host's other work has its turn.
   */
  #readCached(
    session: DriverSession,
    chain: DescriptorChain,
    sector: bigint,
    length: number,
  ): boolean {
    const backend = this.#backend;
    if (backend.readCached === undefined || length === 0 || length > CACHED_BYTES) return false;
    if (length % SECTOR_BYTES !== 0 || this.#cachedBytes >= CACHED_TURN_BYTES) return false;
    const offset = this.#offsetOf(sector, length);
    const views = offset < 0 ? undefined : chain.writableViews(0, length);
    if (views === undefined || !backend.readCached(offset, views)) return false;
    this.#cachedBytes += length;
    if (this.#cachedBytes >= CACHED_TURN_BYTES) session.later(() => (this.#cachedBytes = 0));
    this.#countRead(length);
    return true;
  }

  #countRead(length: number): void {
    this.counters.reads++;
    this.counters.readBytes += length;
  }

  async #execute(
    session: DriverSession,
    chain: DescriptorChain,
    request: { type: number; sector: bigint; data: number },
  ): Promise<number> {
    const { type, data } = request;
    switch (type) {
      case RequestType.In:
      case RequestType.Out: {
        const offset = this.#offsetOf(request.sector, data);
        if (offset < 0 || data % SECTOR_BYTES !== 0) return this.#refuse();
        if (type === RequestType.In) return this.#read(session, chain, offset, data);
        return this.#backend.readOnly ? this.#refuse() : this.#write(session, chain, offset);
      }
      case RequestType.Flush:
        this.counters.flushes++;
        await this.#backend.flush();
        return RequestStatus.Ok;
      case RequestType.GetId:
        chain.write(0, this.#serial.subarray(0, Math.min(ID_BYTES, chain.writableBytes - 1)));
        return RequestStatus.Ok;
      case RequestType.Discard:
      case RequestType.WriteZeroes:
        return this.#ranges(session, chain, type);
      default:
        return RequestStatus.Unsupported;
    }
  }

  /** Whether data goes between the backend and guest memory with no copy in between. */
  #isDirect(session: DriverSession): boolean {
    const backend = this.#backend;
    return session.direct && backend.readVector !== undefined && backend.writeVector !== undefined;
  }

  async #read(
    session: DriverSession,
    chain: DescriptorChain,
    offset: number,
    length: number,
  ): Promise<number> {
    const direct = this.#isDirect(session);
    for (let at = 0; at < length; at += PIECE_BYTES) {
      const count = Math.min(PIECE_BYTES, length - at);
      const views = direct ? chain.writableViews(at, count) : undefined;
      if (views) {
        await readVector(this.#backend, offset + at, views);
        chain.wrote(at, count);
      } else {
        const piece = this.#pieces.take(count);
        const part = piece.subarray(0, count);
        await this.#backend.read(offset + at, part);
        chain.write(at, part);
        // Not after a failure: a part of it may still be on its way into the buffer.
        this.#pieces.give(piece);
      }
    }
    this.#countRead(length);
    return RequestStatus.Ok;
  }

  async #write(session: DriverSession, chain: DescriptorChain, offset: number): Promise<number> {
    const length = chain.readableBytes - HEADER_BYTES;
    const direct = this.#isDirect(session);
    for (let at = 0; at < length; at += PIECE_BYTES) {
      // After a reset the buffers are the guest's again: write nothing more.
      if (!session.alive) return RequestStatus.IoError;
      const count = Math.min(PIECE_BYTES, length - at);
      const views = direct ? chain.readableViews(HEADER_BYTES + at, count) : undefined;
      if (views) await writeVector(this.#backend, offset + at, views);
      else {
        const piece = this.#pieces.take(count);
        const part = piece.subarray(0, count);
        chain.read(HEADER_BYTES + at, part);
        await this.#backend.write(offset + at, part);
        this.#pieces.give(piece);
      }
    }
    if (this.#writesThrough(session)) await this.#backend.flush();
    this.counters.writes++;
    this.counters.writtenBytes += length;
    return RequestStatus.Ok;
  }

  /** DISCARD and WRITE_ZEROES: a list of sector ranges (virtio 1.2, 5.2.6). */
  async #ranges(session: DriverSession, chain: DescriptorChain, type: number): Promise<number> {
    if (this.#backend.readOnly) return this.#refuse();
    const length = chain.readableBytes - HEADER_BYTES;
    if (length === 0 || length % RANGE_BYTES !== 0 || length / RANGE_BYTES > MAX_RANGES)
      return this.#refuse();
    const view = new DataView(chain.readBytes(HEADER_BYTES, length).buffer);
    const ranges: { offset: number; bytes: number; unmap: boolean }[] = [];
    for (let at = 0; at < length; at += RANGE_BYTES) {
      const sectors = view.getUint32(at + 8, true);
      const flags = view.getUint32(at + 12, true);
      const bytes = sectors * SECTOR_BYTES;
      const offset = this.#offsetOf(view.getBigUint64(at, true), bytes);
      // Only WRITE_ZEROES has a flag, the one that allows unmapping.
      if (flags & ~(type === RequestType.WriteZeroes ? 1 : 0)) return RequestStatus.Unsupported;
      if (offset < 0 || sectors > MAX_RANGE_SECTORS) return this.#refuse();
      ranges.push({ offset, bytes, unmap: (flags & 1) === 1 });
    }
    for (const { offset, bytes, unmap } of ranges) {
      if (!session.alive) return RequestStatus.IoError;
      if (bytes === 0) continue;
      if (type === RequestType.Discard) await this.#backend.discard(offset, bytes);
      else await this.#backend.writeZeroes(offset, bytes, unmap);
    }
    if (type === RequestType.Discard) this.counters.discards++;
    else this.counters.zeroed++;
    if (this.#writesThrough(session)) await this.#backend.flush();
    return RequestStatus.Ok;
  }

  #writesThrough(session: DriverSession): boolean {
    const { features } = session;
    if ((features & BlockFeature.Flush) === 0n) return true;
    return (features & BlockFeature.ConfigWce) !== 0n && !this.config.writeback;
  }

  /** The byte offset of `length` bytes from a sector, or -1 if they are not all on the disk. */
  #offsetOf(sector: bigint, length: number): number {
    const capacity = this.#backend.capacity;
    if (sector > BigInt(capacity / SECTOR_BYTES)) return -1;
    const offset = Number(sector) * SECTOR_BYTES;
    return offset + length <= capacity ? offset : -1;
  }

  #refuse(): number {
    this.counters.errors++;
    return RequestStatus.IoError;
  }

  /** Keeps count of host work, so that `settled` knows when there is none. */
  #count(work: Promise<void>): void {
    this.#running++;
    void work
      .catch((error: unknown) => this.#onError(error))
      .finally(() => {
        if (--this.#running > 0) return;
        for (const resolve of this.#idle.splice(0)) resolve();
      });
  }
}

function badOption(option: string, value: string | number, reason: string): Error {
  return virtioError("QZ_VIRTIO_OPTIONS", { option, value, reason });
}
