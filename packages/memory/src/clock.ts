/** A timer that a device set; cancelling one that fired already does nothing. */
export interface Timer {
  cancel(): void;
}

/**
 * Guest time: nanoseconds since the machine was made. Every guest clock (TSC, PIT, RTC, APIC timer, PM
 * timer) derives from one `Clock`, so that they never disagree and a seeded run repeats.
 */
export interface Clock {
  /** Nanoseconds of guest time since the machine was made. */
  nowNs(): number;
  /** The wall-clock time the guest sees, in milliseconds since 1970-01-01 UTC. */
  epochMs(): number;
  /** Calls `fire` once guest time reaches `atNs`, between instructions, never inside this call. */
  schedule(atNs: number, fire: () => void): Timer;
}

interface Entry {
  atNs: number;
  order: number;
  fire: (() => void) | undefined;
}

/**
 * A clock that goes only when it is told to: the machine advances it by the host's clock, or by the
 * number of instructions executed in a deterministic run.
 */
export class VirtualClock implements Clock {
  #nowNs: number;
  #epochMs: number;
  #order = 0;
  #entries: Entry[] = [];

  /** @param epochMs the wall-clock time, in milliseconds since 1970, at guest time 0. */
  constructor(epochMs = 0, nowNs = 0) {
    this.#epochMs = epochMs;
    this.#nowNs = nowNs;
  }

  nowNs(): number {
    return this.#nowNs;
  }

  epochMs(): number {
    return this.#epochMs + this.nowNs() / 1e6;
  }

  /** Sets the wall-clock time the guest sees now; guest time goes on unchanged. */
  setEpochMs(nowMs: number): void {
    this.#epochMs = nowMs - this.nowNs() / 1e6;
  }

  schedule(atNs: number, fire: () => void): Timer {
    const entry: Entry = { atNs, order: this.#order++, fire };
    const entries = this.#entries;
    let at = entries.length;
    while (at > 0 && (entries[at - 1] as Entry).atNs > atNs) at--;
    entries.splice(at, 0, entry);
    return {
      cancel: () => {
        if (entry.fire === undefined) return;
        entry.fire = undefined;
        const index = this.#entries.indexOf(entry);
        if (index >= 0) this.#entries.splice(index, 1);
      },
    };
  }

  /** When the next timer is due, in nanoseconds of guest time; Infinity when there is none. */
  nextDeadlineNs(): number {
    return this.#entries[0]?.atNs ?? Infinity;
  }

  /**
   * Moves guest time to `atNs` (never back) and fires what became due, in order of time, then of
   * scheduling. A timer sees the time it was set for. One that is set again for a moment not after it
   * waits for the next advance, so that no device can hold the clock.
   */
  advanceTo(atNs: number): void {
    if (!(atNs >= this.#nowNs)) return;
    const lastOrder = this.#order;
    for (let i = 0; i < this.#entries.length;) {
      const entry = this.#entries[i] as Entry;
      if (entry.atNs > atNs) break;
      if (entry.order >= lastOrder && entry.atNs <= this.#nowNs) {
        i++;
        continue;
      }
      this.#entries.splice(i, 1);
      this.#nowNs = Math.max(this.#nowNs, entry.atNs);
      const fire = entry.fire;
      entry.fire = undefined;
      fire?.();
      i = 0;
    }
    this.#nowNs = Math.max(this.#nowNs, atNs);
  }
}
