import { VirtualClock } from "@queztl/memory";

/** A machine's clock: shows how far its source has come even before the timers of that time have fired. */
export class MachineClock extends VirtualClock {
  readonly #source: () => number;

  /**
   * @param source nanoseconds of guest time as they pass: host time or executed instructions.
   * @param epochMs wall-clock time at guest time 0.
   * @param nowNs guest time now, where the machine goes on from a snapshot.
   */
  constructor(source: () => number, epochMs: number, nowNs = 0) {
    super(epochMs, nowNs);
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
