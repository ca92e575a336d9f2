const MINUTE_MS = 60_000;
const MOST_ADDRESSES = 100_000;

/** Counts refused tokens by address, so that nobody can try many. */
export class RefusalLimit {
  readonly #most: number;
  readonly #refused = new Map<string, { count: number; until: number }>();

  constructor(mostPerMinute: number) {
    this.#most = mostPerMinute;
  }

  count(address: string, now = Date.now()): void {
    const seen = this.#refused.get(address);
    if (seen !== undefined && seen.until > now) {
      seen.count += 1;
      return;
    }
    if (this.#refused.size >= MOST_ADDRESSES) this.#refused.clear();
    this.#refused.set(address, { count: 1, until: now + MINUTE_MS });
  }

  /** Seconds that an address has to wait; 0 where it need not. */
  waitOf(address: string, now = Date.now()): number {
    const seen = this.#refused.get(address);
    if (seen === undefined || seen.until <= now || seen.count < this.#most) return 0;
    return Math.ceil((seen.until - now) / 1000);
  }
}
