/** The saved form of a histogram. */
export interface PeakHistogramState {
  readonly origin: number;
  readonly total: number;
  readonly weights: [bucket: number, weight: number][];
}

/**
 * Peaks in buckets that grow by 5 %, their weights halving with age, as the Kubernetes vertical pod
 * autoscaler keeps them (recommender, `histogram_options` and `decaying_histogram`).
 */
export class PeakHistogram {
  readonly #halfLifeSeconds: number;
  #weights: number[] = [];
  #origin = Number.NaN;
  #total = 0;

  constructor(halfLifeSeconds: number) {
    this.#halfLifeSeconds = halfLifeSeconds;
  }

  add(mib: number, at: number): void {
    if (Number.isNaN(this.#origin)) this.#origin = at;
    // Newer samples weigh more instead of older ones less, so that nothing stored has to be touched.
    let age = (at - this.#origin) / this.#halfLifeSeconds;
    if (age > MOST_DOUBLINGS) {
      const shrink = 2 ** -age;
      this.#weights = this.#weights.map((weight) => weight * shrink);
      this.#total *= shrink;
      this.#origin = at;
      age = 0;
    }
    const weight = 2 ** Math.max(age, -MOST_DOUBLINGS);
    const bucket = bucketOf(mib);
    while (this.#weights.length <= bucket) this.#weights.push(0);
    this.#weights[bucket] = (this.#weights[bucket] as number) + weight;
    this.#total += weight;
  }

  /** The upper edge in MiB of the bucket that holds quantile `q`, 0 while empty. */
  quantile(q: number): number {
    let left = q * this.#total;
    let last = -1;
    for (let i = 0; i < this.#weights.length; i += 1) {
      const weight = this.#weights[i] as number;
      if (weight === 0) continue;
      left -= weight;
      last = i;
      if (left <= 0) break;
    }
    return last < 0 ? 0 : upperEdge(last);
  }

  save(): PeakHistogramState {
    return {
      origin: Number.isNaN(this.#origin) ? 0 : this.#origin,
      total: this.#total,
      weights: this.#weights.flatMap((weight, bucket): [number, number][] =>
        weight === 0 ? [] : [[bucket, weight]],
      ),
    };
  }

  restore(state: PeakHistogramState): void {
    if (state.weights.length === 0) return;
    this.#origin = state.origin;
    this.#total = state.total;
    this.#weights = [];
    for (const [bucket, weight] of state.weights) {
      if (!Number.isInteger(bucket) || bucket < 0 || bucket > MOST_BUCKETS || weight < 0) {
        throw new RangeError("a histogram has no such bucket");
      }
      while (this.#weights.length <= bucket) this.#weights.push(0);
      this.#weights[bucket] = weight;
    }
  }
}

const FIRST_MIB = 10;
const GROWTH = 1.05;
const MOST_DOUBLINGS = 100;
/** Beyond the largest double. */
const MOST_BUCKETS = 15_000;

const bucketOf = (mib: number) =>
  Math.max(0, Math.floor(Math.log((mib * (GROWTH - 1)) / FIRST_MIB + 1) / Math.log(GROWTH)));

const upperEdge = (bucket: number) => (FIRST_MIB * (GROWTH ** (bucket + 1) - 1)) / (GROWTH - 1);
