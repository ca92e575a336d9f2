import type { Clock, Entropy, Timer } from "@queztl/memory";
import { hostEntropy } from "@queztl/memory";
import type { DriverSession, VirtioDevice } from "../device.ts";
import { virtioError } from "../errors.ts";
import { serveQueue } from "../ring/serve-queue.ts";
import { checkState } from "../state.ts";
import { TokenBucket } from "../token-bucket.ts";
import type { RateLimit } from "../token-bucket.ts";
import { RngConfig } from "./config.ts";
import type { RngState } from "./state.ts";

/** The most bytes one request is given; the driver asks again for more. */
const REQUEST_BYTES = 65536;

/** How an entropy device is made. */
export interface RngDeviceOptions {
  /** Default: the host's cryptographic random numbers. */
  readonly entropy?: Entropy;
  /** Bytes a second of guest time; needs `clock`. */
  readonly limit?: RateLimit;
  readonly clock?: Clock;
}

/** The entropy device (virtio 1.2, 5.4): fills the guest's buffers with random bytes. */
export class RngDevice implements VirtioDevice<RngState> {
  readonly type = 4;
  readonly name = "rng";
  readonly features = 0n;
  readonly queueSizes = [64];
  readonly config = new RngConfig();
  readonly counters = { requests: 0, bytes: 0 };

  readonly #entropy: Entropy;
  readonly #clock: Clock | undefined;
  readonly #bucket: TokenBucket | undefined;
  #session: DriverSession | undefined;
  #timer: Timer | undefined;

  /** @throws QZ_VIRTIO_OPTIONS for a limit without a clock. */
  constructor(options: RngDeviceOptions = {}) {
    this.#entropy = options.entropy ?? hostEntropy;
    this.#clock = options.clock;
    if (options.limit === undefined) return;
    if (options.clock === undefined) {
      throw virtioError("QZ_VIRTIO_OPTIONS", {
        option: "limit",
        value: options.limit.perSecond,
        reason: "it needs a clock",
      });
    }
    this.#bucket = new TokenBucket(options.clock, options.limit);
  }

  start(session: DriverSession): void {
    this.#session = session;
  }

  notify(): void {
    const session = this.#session;
    if (session === undefined) return;
    serveQueue(session, 0, (chain, queue) => {
      if (this.#mustWait(session)) return false;
      const bytes = this.#random(Math.min(chain.writableBytes, REQUEST_BYTES));
      chain.write(0, bytes);
      this.#bucket?.take(bytes.length);
      this.counters.requests++;
      this.counters.bytes += bytes.length;
      queue.complete(chain, bytes.length);
      return true;
    });
  }

  stop(): void {
    this.#session = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  save(): RngState {
    return { version: 1 };
  }

  restore(state: RngState): void {
    checkState("entropy device", state, 1);
  }

  #random(length: number, bytes = new Uint8Array(length)): Uint8Array {
    this.#entropy.fill(bytes);
    return bytes;
  }

  #mustWait(session: DriverSession): boolean {
    const clock = this.#clock;
    if (this.#bucket === undefined || clock === undefined) return false;
    const readyNs = this.#bucket.readyNs();
    if (readyNs <= clock.nowNs()) return false;
    this.#timer ??= clock.schedule(readyNs, () => {
      this.#timer = undefined;
      session.run(() => this.notify());
    });
    return true;
  }
}
