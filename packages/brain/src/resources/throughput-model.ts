import { regressionPredictor } from "../sizer/predictors.ts";

/** A run as the time model sees it. */
export interface MeasuredRun {
  readonly inputBytes: number;
  readonly vcpus: number;
  readonly wallSeconds: number;
  /** CPU time of all threads together, where it was measured. */
  readonly cpuSeconds?: number | undefined;
  readonly at: number;
  /** Whether the run ended by itself; otherwise it only shows that the task takes longer. */
  readonly finished: boolean;
}

/** How long a task is expected to take on one vCPU and how well it spreads. */
export interface ThroughputEstimate {
  readonly samples: number;
  /** Seconds on one vCPU: where 9 of 10 tasks lie, and the middle. */
  readonly work: { readonly low: number; readonly middle: number; readonly high: number };
  /** Amdahl's serial share, 0 (spreads perfectly) to 1 (one core is all it uses). */
  readonly serialShare: number;
  /** Runs on more than one vCPU that `serialShare` rests on. */
  readonly parallelRuns: number;
  readonly longestSeconds: number;
}

/** The saved form. */
export interface ThroughputState {
  readonly samples: number;
  readonly serial: [sum: number, weight: number];
  readonly longest: number;
  readonly ratios: number[];
  readonly line: number[];
  readonly range: [min: number, max: number];
  readonly widths: number[];
}

const PRIOR_SERIAL_SHARE = 0.25;
const PRIOR_WEIGHT = 1;
const SERIAL_DISCOUNT = 0.95;
const MOST_RATIOS = 100;
// A run that was cut off is taken to have needed half as long again.
const CENSORED_STRETCH = 1.5;

/**
 * One family's speed: work (seconds on one vCPU) as a power of the input size, and Amdahl's serial
 * share from the cores that runs kept busy: with cpu = CPU time over wall time on c vCPUs,
 * s = (c / cpu − 1) / (c − 1).
 */
export class ThroughputModel {
  #samples = 0;
  #serialSum = PRIOR_SERIAL_SHARE * PRIOR_WEIGHT;
  #serialWeight = PRIOR_WEIGHT;
  #parallelRuns = 0;
  #longest = 0;
  #ratios: number[] = [];
  readonly #widths = new Set<number>();
  readonly #range = { min: Infinity, max: 0 };
  readonly #line = regressionPredictor("log", this.#range);

  /** The vCPU counts that runs have been measured with. */
  get widths(): ReadonlySet<number> {
    return this.#widths;
  }

  learn(run: MeasuredRun): void {
    this.#longest = Math.max(this.#longest, run.wallSeconds);
    const share = this.#serialShare();
    const slowdown = share + (1 - share) / run.vcpus;
    let work = Math.max(1e-3, run.wallSeconds / slowdown);
    const predicted = this.#line.predict(run.inputBytes);
    if (!run.finished) {
      if (predicted > work * CENSORED_STRETCH || this.#samples === 0) return;
      work *= CENSORED_STRETCH;
    }
    if (run.finished) this.#widths.add(run.vcpus);
    if (run.finished && run.vcpus > 1 && run.cpuSeconds !== undefined && run.wallSeconds > 0) {
      const busy = Math.min(Math.max(run.cpuSeconds / run.wallSeconds, 0.05), run.vcpus);
      const seen = (run.vcpus / busy - 1) / (run.vcpus - 1);
      this.#serialSum = this.#serialSum * SERIAL_DISCOUNT + Math.min(1, Math.max(0, seen));
      this.#serialWeight = this.#serialWeight * SERIAL_DISCOUNT + 1;
      this.#parallelRuns += 1;
    }
    if (this.#samples > 0) {
      this.#ratios.push(work / Math.max(1e-3, predicted));
      if (this.#ratios.length > MOST_RATIOS) this.#ratios.shift();
    }
    this.#range.min = Math.min(this.#range.min, work);
    this.#range.max = Math.max(this.#range.max, work);
    this.#line.learn({
      inputBytes: run.inputBytes,
      peakMib: work,
      runtimeSeconds: run.wallSeconds,
      at: run.at,
    });
    this.#samples += 1;
  }

  /** The geometric mean of the inputs learned from, 0 without any. */
  get usualInputBytes(): number {
    const [n = 0, sumLog = 0] = this.#line.save();
    return n === 0 ? 0 : Math.expm1(sumLog / n);
  }

  /** Undefined until a run has finished. */
  estimate(inputBytes: number): ThroughputEstimate | undefined {
    if (this.#samples === 0) return undefined;
    const middle = Math.max(1e-3, this.#line.predict(inputBytes));
    const sorted = this.#ratios.toSorted((a, b) => a - b);
    const at = (share: number, none: number) =>
      sorted.length < 5 ? none : (sorted[Math.round(share * (sorted.length - 1))] as number);
    return {
      samples: this.#samples,
      work: {
        low: middle * at(0.05, 0.5),
        middle: middle * at(0.5, 1),
        high: middle * at(0.95, 2),
      },
      serialShare: this.#serialShare(),
      parallelRuns: this.#parallelRuns,
      longestSeconds: this.#longest,
    };
  }

  #serialShare(): number {
    return this.#serialSum / this.#serialWeight;
  }

  save(): ThroughputState {
    return {
      samples: this.#samples,
      serial: [this.#serialSum, this.#serialWeight],
      longest: this.#longest,
      ratios: [...this.#ratios],
      line: this.#line.save(),
      range: [this.#samples === 0 ? 0 : this.#range.min, this.#range.max],
      widths: [this.#parallelRuns, ...this.#widths],
    };
  }

  restore(state: ThroughputState): void {
    this.#samples = state.samples;
    [this.#serialSum, this.#serialWeight] = state.serial;
    this.#longest = state.longest;
    this.#ratios = [...state.ratios];
    this.#line.restore(state.line);
    this.#range.min = state.samples === 0 ? Infinity : state.range[0];
    this.#range.max = state.range[1];
    const [parallelRuns = 0, ...widths] = state.widths;
    this.#parallelRuns = parallelRuns;
    for (const width of widths) this.#widths.add(width);
  }
}
