/** The saved form: one `[loss, weight]` per "stage expert". */
export type PooledLossesState = [key: string, loss: number, weight: number][];

/**
 * What each expert has cost across all families at the same age, in units of a task's own cost. A young
 * family has no record of its own to choose an expert by; this is the one it borrows.
 */
export class PooledLosses {
  readonly #sums = new Map<string, { loss: number; weight: number }>();

  add(samples: number, expert: string, loss: number): void {
    const key = keyOf(samples, expert);
    const sum = this.#sums.get(key) ?? { loss: 0, weight: 0 };
    // The clip bounds what one family, however wild or dishonest, can do to the others.
    sum.loss = sum.loss * DISCOUNT + Math.min(loss, CLIP);
    sum.weight = sum.weight * DISCOUNT + 1;
    this.#sums.set(key, sum);
  }

  /** The mean loss at this age, drawn towards `prior` while there is little evidence. */
  mean(samples: number, expert: string, prior: number): number {
    const sum = this.#sums.get(keyOf(samples, expert));
    return ((sum?.loss ?? 0) + prior * PRIOR_WEIGHT) / ((sum?.weight ?? 0) + PRIOR_WEIGHT);
  }

  save(): PooledLossesState {
    return Array.from(this.#sums, ([key, { loss, weight }]) => [key, loss, weight]);
  }

  restore(state: PooledLossesState): void {
    for (const [key, loss, weight] of state) this.#sums.set(key, { loss, weight });
  }
}

const DISCOUNT = 0.995;
const CLIP = 10;
const PRIOR_WEIGHT = 3;

// Ages double from stage to stage; from 65 samples on a family's own record decides.
const keyOf = (samples: number, expert: string) =>
  `${Math.min(7, Math.ceil(Math.log2(Math.max(1, samples))))} ${expert}`;
