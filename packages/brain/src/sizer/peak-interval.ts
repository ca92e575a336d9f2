/** The saved form. */
export interface PeakIntervalState {
  readonly ratios: number[];
  readonly missRate: number;
  readonly covered: number[];
}

const TARGET_MISSES = 0.1;
const STEP = 0.02;
const MOST_RATIOS = 100;
const RECENT = 50;

/**
 * A prediction interval from the ratios of peaks to what would have been given, kept honest under drift
 * by adaptive conformal inference (Gibbs and Candès 2021): each miss widens the next interval, each hit
 * narrows it a little, so that in the long run one in ten misses whatever the distribution does.
 */
export class PeakInterval {
  #ratios: number[] = [];
  #missRate = TARGET_MISSES;
  #covered: number[] = [];

  get coverage(): number | undefined {
    const n = this.#covered.length;
    return n === 0 ? undefined : this.#covered.reduce((sum, hit) => sum + hit, 0) / n;
  }

  around(
    memoryMib: number,
    range: { readonly min: number; readonly max: number },
  ): readonly [lowMib: number, highMib: number] {
    if (this.#ratios.length < 5) {
      // Too few ratios for a quantile: half of the least to twice the most seen, or as far as the choice looks beyond.
      return [Math.min(range.min, memoryMib) / 2, Math.max(range.max * 2, memoryMib)];
    }
    const sorted = this.#ratios.toSorted((a, b) => a - b);
    const last = sorted.length - 1;
    const tail = this.#missRate / 2;
    const low = sorted[Math.max(0, Math.floor(tail * (last + 2)) - 1)] as number;
    const high = sorted[Math.min(last, Math.ceil((1 - tail) * (last + 2)) - 1)] as number;
    // Below a miss rate of what the sample can show, the ends move out beyond the extremes.
    const stretch = this.#missRate <= 0 ? 1.5 : 1;
    return [(low * memoryMib) / stretch, high * memoryMib * stretch];
  }

  learn(
    memoryMib: number,
    peakMib: number,
    range: { readonly min: number; readonly max: number },
  ): void {
    const [low, high] = this.around(memoryMib, range);
    const hit = peakMib >= low && peakMib <= high;
    this.#covered.push(hit ? 1 : 0);
    if (this.#covered.length > RECENT) this.#covered.shift();
    this.#missRate += STEP * (TARGET_MISSES - (hit ? 0 : 1));
    this.#missRate = Math.min(0.5, Math.max(-0.1, this.#missRate));
    this.#ratios.push(peakMib / Math.max(1, memoryMib));
    if (this.#ratios.length > MOST_RATIOS) this.#ratios.shift();
  }

  save(): PeakIntervalState {
    return {
      ratios: [...this.#ratios],
      missRate: this.#missRate,
      covered: [...this.#covered],
    };
  }

  restore(state: PeakIntervalState): void {
    this.#ratios = [...state.ratios];
    this.#missRate = state.missRate;
    this.#covered = [...state.covered];
  }
}
