import { hypervisorError } from "./errors.ts";

/** How much of its share a machine that stood still may run at once, in milliseconds of its run. */
const BURST_MS = 50;
/** The host's timers are no finer. */
const LEAST_REST_MS = 1;

/** Holds a machine to a share of the host's processors: after it ran it rests in proportion. */
export class DutyCycle {
  readonly #share: number;
  readonly #now: () => number;
  #creditMs = BURST_MS;
  #atMs: number;

  /** @throws QZ_HYPERVISOR_OPTIONS for a share that is not above 0. */
  constructor(share: number, now: () => number = () => performance.now()) {
    if (!(share > 0 && share < Infinity)) {
      const details = { option: "cpuShare", value: share, expected: "give a number above 0" };
      throw hypervisorError("QZ_HYPERVISOR_OPTIONS", details);
    }
    this.#share = share;
    this.#now = now;
    this.#atMs = now();
  }

  /** It ran for so long. */
  ran(ms: number): void {
    this.#earn();
    this.#creditMs -= ms;
  }

  /** For how long it must rest now; 0 when it may run. */
  restMs(): number {
    this.#earn();
    if (this.#creditMs > 0) return 0;
    return Math.max(LEAST_REST_MS, -this.#creditMs / this.#share);
  }

  #earn(): void {
    const now = this.#now();
    this.#creditMs = Math.min(BURST_MS, this.#creditMs + (now - this.#atMs) * this.#share);
    this.#atMs = now;
  }
}
