const NS = 1e9;

/**
 * A crystal of `hz` cycles a second: converts spans of guest time to whole cycles and back without the
 * rounding of one big product (exact while nanoseconds are: 104 days).
 */
export class Oscillator {
  readonly hz: number;

  constructor(hz: number) {
    this.hz = hz;
  }

  /** Whole cycles in `ns` nanoseconds. */
  cycles(ns: number): number {
    const seconds = Math.floor(ns / NS);
    return seconds * this.hz + Math.floor(((ns - seconds * NS) * this.hz) / NS);
  }

  /** The least whole number of nanoseconds that holds `cycles` cycles. */
  nanoseconds(cycles: number): number {
    const seconds = Math.floor(cycles / this.hz);
    return seconds * NS + Math.ceil(((cycles - seconds * this.hz) * NS) / this.hz);
  }
}
