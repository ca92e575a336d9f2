/** The saved form. */
export interface ElasticState {
  readonly recent: [inputBytes: number, allocatedMib: number][];
  readonly enoughMib: number | null;
  readonly failedMib: number;
}

const FILLED = 0.97;
const LEAST_RUNS = 4;
const MOST_RUNS = 8;
const SPREAD = 1.1;

/**
 * Notices programs that fill whatever memory they get, as a sorter does: their peaks follow the
 * allocation, so that sizing them by their peaks would give them more each time. They show by peaks at
 * the limit under limits that differ while their inputs do not.
 */
export class ElasticMemory {
  #recent: [inputBytes: number, allocatedMib: number][] = [];
  #enoughMib: number | undefined;
  #failedMib = 0;

  /** The least that was enough for such a program; undefined for any other. */
  get enoughMib(): number | undefined {
    return this.#enoughMib;
  }

  /** The most that was not enough since it was recognised. */
  get failedMib(): number {
    return this.#failedMib;
  }

  learn(inputBytes: number, allocatedMib: number, peakMib: number): void {
    if (allocatedMib <= 0 || peakMib < allocatedMib * FILLED) {
      this.#recent = [];
      this.#enoughMib = undefined;
      this.#failedMib = 0;
      return;
    }
    this.#recent.push([inputBytes, allocatedMib]);
    if (this.#recent.length > MOST_RUNS) this.#recent.shift();
    if (this.#enoughMib !== undefined) {
      this.#enoughMib = Math.min(this.#enoughMib, allocatedMib);
      return;
    }
    if (this.#recent.length < LEAST_RUNS) return;
    const inputs = this.#recent.map(([input]) => input + 1);
    const given = this.#recent.map(([, mib]) => mib);
    const alike = Math.max(...inputs) <= Math.min(...inputs) * SPREAD;
    if (alike && Math.max(...given) >= Math.min(...given) * SPREAD) {
      this.#enoughMib = Math.min(...given);
    }
  }

  fail(allocatedMib: number): void {
    if (this.#enoughMib === undefined) return;
    this.#failedMib = Math.max(this.#failedMib, allocatedMib);
    if (allocatedMib < this.#enoughMib) return;
    // What was enough is so no longer: it has to be learned anew.
    this.#enoughMib = undefined;
    this.#recent = [];
  }

  save(): ElasticState {
    return {
      recent: [...this.#recent],
      enoughMib: this.#enoughMib ?? null,
      failedMib: this.#failedMib,
    };
  }

  restore(state: ElasticState): void {
    this.#recent = [...state.recent];
    this.#enoughMib = state.enoughMib ?? undefined;
    this.#failedMib = state.failedMib;
  }
}
