import { VirtualClock } from "@queztl/memory";

/** The machine's clock: a virtual clock that shows how far its source has come even before timers fire. */
export class MachineClock extends VirtualClock {
  readonly #source: () => number;

  /**
   * @param source nanoseconds of guest time as they pass: host time or executed instructions.
   * @param epochMs wall-clock time at guest time 0.
   */
  constructor(source: () => number, epochMs: number) {
    super(epochMs);
    this.#source = source;
  }

  override nowNs(): number {
    return Math.max(super.nowNs(), this.#source());
  }

  /** Fires the timers that are due by now. */
  advance(): void {
    this.advanceTo(this.#source());
  }
}
