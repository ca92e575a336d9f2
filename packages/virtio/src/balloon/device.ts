import type { Clock, Timer } from "@queztl/memory";
import type { DriverSession, VirtioDevice } from "../device.ts";
import { virtioError } from "../errors.ts";
import type { DescriptorChain } from "../ring/descriptor-chain.ts";
import { serveQueue } from "../ring/serve-queue.ts";
import type { SplitQueue } from "../ring/split-queue.ts";
import { BALLOON_PAGE, BalloonConfig, BalloonFeature, STATISTICS } from "./config.ts";
import { checkBalloonState } from "./state.ts";
import type { BalloonState } from "./state.ts";

const INFLATE = 0;
const STATS = 2;
const REPORTING = 3;
/** Linux names 256 pages at once. */
const MOST_NUMBERS = 4096;
const STATISTIC_BYTES = 10;

/** What the guest told of its memory: bytes, or numbers of events; what it did not tell is missing. */
export type BalloonStatistics = Partial<Record<(typeof STATISTICS)[number], number>>;

/** How a balloon is made. */
export interface BalloonDeviceOptions {
  /**
   * Gives guest RAM back to the host: its contents are not needed and may read as zeroes. Guest-physical, whole
   * pages of 4096 bytes; ranges that are not RAM must be ignored.
   */
  readonly discard: (address: number, length: number) => void;
  /** For statistics at an interval. */
  readonly clock?: Clock;
  /** Seconds of guest time between statistics; default: only when asked for. */
  readonly statisticsSeconds?: number;
  readonly onStatistics?: (statistics: BalloonStatistics) => void;
}

/**
 * The memory balloon (virtio 1.2, 5.5): takes pages from the guest and gives them to the host, reports free pages
 * so that the host can have them back meanwhile, and tells statistics.
 */
export class BalloonDevice implements VirtioDevice<BalloonState> {
  readonly type = 5;
  readonly name = "balloon";
  readonly features =
    BalloonFeature.Statistics | BalloonFeature.DeflateOnOom | BalloonFeature.PageReporting;
  readonly queueSizes = [128, 128, 16, 32];
  readonly config: BalloonConfig;
  readonly counters = { inflatedPages: 0, deflatedPages: 0, reportedBytes: 0, statistics: 0 };
  /** The last statistics the guest told. */
  statistics: BalloonStatistics = {};

  readonly #options: BalloonDeviceOptions;
  #session: DriverSession | undefined;
  /** The statistics buffer, kept until the next statistics are wanted (virtio 1.2, 5.5.6.3). */
  #held: { readonly chain: DescriptorChain; readonly queue: SplitQueue } | undefined;
  #waiting: ((statistics: BalloonStatistics) => void)[] = [];
  #timer: Timer | undefined;

  /** @throws QZ_VIRTIO_OPTIONS for an interval without a clock. */
  constructor(options: BalloonDeviceOptions) {
    const { clock, statisticsSeconds } = options;
    const possible =
      statisticsSeconds === undefined || (clock !== undefined && statisticsSeconds > 0);
    if (!possible) {
      throw virtioError("QZ_VIRTIO_OPTIONS", {
        option: "statisticsSeconds",
        value: statisticsSeconds,
        reason: "it needs a clock and must be positive",
      });
    }
    this.#options = options;
    this.config = new BalloonConfig(() => {});
  }

  /** Bytes the guest gave to the balloon. */
  get actualBytes(): number {
    return this.config.actual * BALLOON_PAGE;
  }

  /** Asks the guest to give up so many bytes in all; it does so as it can. */
  setTarget(bytes: number): void {
    this.config.pages = Math.min(0xffff_ffff, Math.max(0, Math.floor(bytes / BALLOON_PAGE)));
    this.config.changed();
  }

  /** Asks for statistics now; resolves when the guest told them, which it may never do. */
  askStatistics(): Promise<BalloonStatistics> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#returnHeld();
    });
  }

  start(session: DriverSession): void {
    this.#session = session;
    this.#scheduleStatistics();
  }

  notify(index: number): void {
    const session = this.#session;
    if (session === undefined) return;
    if (index === STATS) this.#takeStatistics(session);
    else {
      serveQueue(session, index, (chain, queue) => {
        if (index === REPORTING) this.#report(chain);
        else this.#takePages(chain, index === INFLATE);
        queue.complete(chain, 0);
        return true;
      });
    }
  }

  stop(): void {
    this.#session = undefined;
    this.#held = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.config.actual = 0;
  }

  save(): BalloonState {
    return { version: 1, pages: this.config.pages, actual: this.config.actual };
  }

  restore(state: BalloonState): void {
    checkBalloonState(state);
    this.config.pages = state.pages;
    this.config.actual = state.actual;
  }

  /** A list of page numbers of 32 bits, to be given to the host or wanted back. */
  #takePages(chain: DescriptorChain, inflate: boolean): void {
    const count = chain.readableBytes / 4;
    if (!Number.isInteger(count) || count > MOST_NUMBERS)
      throw this.#refused(`${chain.readableBytes} bytes of page numbers`);
    const view = new DataView(chain.readBytes(0, chain.readableBytes).buffer);
    if (!inflate) {
      this.counters.deflatedPages += count;
      return;
    }
    this.counters.inflatedPages += count;
    // Neighbours go together: the host's call costs more than its pages.
    const pages = Array.from({ length: count }, (_, i) => view.getUint32(4 * i, true));
    pages.sort((a, b) => a - b);
    for (let i = 0; i < count;) {
      const first = pages[i] as number;
      let last = first;
      while (i < count && (pages[i] as number) <= last + 1) last = pages[i++] as number;
      this.#options.discard(first * BALLOON_PAGE, (last - first + 1) * BALLOON_PAGE);
    }
  }

  /** Free memory that the guest leaves alone until the buffers are returned (virtio 1.2, 5.5.6.7). */
  #report(chain: DescriptorChain): void {
    for (const { address, length } of chain.writableRanges()) {
      const start = Math.ceil(address / BALLOON_PAGE) * BALLOON_PAGE;
      const end = Math.floor((address + length) / BALLOON_PAGE) * BALLOON_PAGE;
      if (end <= start) continue;
      this.#options.discard(start, end - start);
      this.counters.reportedBytes += end - start;
    }
  }

  #takeStatistics(session: DriverSession): void {
    const queue = session.queue(STATS);
    if (queue === undefined) return;
    // Until there is none: only then the driver knows that it has to notify about the next one.
    for (let chain = queue.pop(); chain; chain = queue.pop()) {
      if (this.#held !== undefined) throw this.#refused("a second statistics buffer");
      if (chain.readableBytes > STATISTIC_BYTES * 64)
        throw this.#refused(`${chain.readableBytes} bytes of statistics`);
      this.#held = { chain, queue };
      const bytes = chain.readBytes(0, chain.readableBytes);
      this.statistics = parseStatistics(bytes);
      this.counters.statistics++;
      this.#options.onStatistics?.(this.statistics);
    }
    if (this.#held === undefined) return;
    for (const resolve of this.#waiting.splice(0)) resolve(this.statistics);
  }

  /** Returning the buffer asks the guest to fill it anew. */
  #returnHeld(): void {
    const held = this.#held;
    const session = this.#session;
    if (held === undefined || session === undefined) return;
    this.#held = undefined;
    session.run(() => {
      held.queue.complete(held.chain, 0);
      held.queue.publish();
    });
  }

  #scheduleStatistics(): void {
    const { clock, statisticsSeconds } = this.#options;
    if (clock === undefined || statisticsSeconds === undefined) return;
    this.#timer = clock.schedule(clock.nowNs() + statisticsSeconds * 1e9, () => {
      this.#returnHeld();
      this.#scheduleStatistics();
    });
  }

  #refused(reason: string): Error {
    return virtioError("QZ_VIRTIO_REQUEST", { device: this.name, reason });
  }
}

/** Tags of 16 bits, each with a value of 64; unknown tags are left out. */
function parseStatistics(bytes: Uint8Array<ArrayBuffer>): BalloonStatistics {
  const view = new DataView(bytes.buffer);
  const statistics: BalloonStatistics = {};
  for (let at = 0; at + STATISTIC_BYTES <= bytes.length; at += STATISTIC_BYTES) {
    const name = STATISTICS[view.getUint16(at, true)];
    if (name) statistics[name] = Number(view.getBigUint64(at + 2, true));
  }
  return statistics;
}
