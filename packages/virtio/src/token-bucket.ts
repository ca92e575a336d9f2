import type { Clock } from "@queztl/memory";

/** A limit on a rate: so many units a second of guest time, and so many at once after a pause. */
export interface RateLimit {
  readonly perSecond: number;
  /** At least 1; default: a tenth of a second's worth. */
  readonly burst?: number;
}

/**
 * Lets units pass at a rate. Work may pass while a whole token is left and may take the bucket below zero, so
 * that work larger than the burst passes too and the next waits the longer.
 */
export class TokenBucket {
  readonly #clock: Clock;
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #atNs: number;

  constructor(clock: Clock, limit: RateLimit) {
    this.#clock = clock;
    this.#perSecond = limit.perSecond;
    this.#burst = Math.max(1, limit.burst ?? limit.perSecond / 10);
    this.#tokens = this.#burst;
    this.#atNs = clock.nowNs();
  }

  /** Guest time at which work may pass; now or before when it may at once. */
  readyNs(): number {
    this.#refill();
    if (this.#tokens >= 1) return this.#atNs;
    return this.#atNs + Math.ceil(((1 - this.#tokens) / this.#perSecond) * 1e9);
  }

  take(units: number): void {
    this.#refill();
    this.#tokens -= units;
  }

  #refill(): void {
    const now = this.#clock.nowNs();
    const earned = ((now - this.#atNs) / 1e9) * this.#perSecond;
    this.#tokens = Math.min(this.#burst, this.#tokens + earned);
    this.#atNs = now;
  }
}
