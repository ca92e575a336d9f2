/** One finished task as a family remembers it. */
export interface Sample {
  readonly inputBytes: number;
  readonly peakMib: number;
  readonly runtimeSeconds: number;
  readonly at: number;
}

/** The saved form: parallel columns, oldest first. */
export interface SampleWindowState {
  readonly inputs: number[];
  readonly peaks: number[];
  readonly seconds: number[];
  readonly times: number[];
}

/** The newest samples of one family in parallel columns, with the searches the predictors need. */
export class SampleWindow {
  readonly inputs: number[] = [];
  readonly peaks: number[] = [];
  readonly seconds: number[] = [];
  readonly times: number[] = [];
  readonly #logInputs: number[] = [];
  readonly #capacity: number;
  #nearest: { inputBytes: number; peaks: number[] } | undefined;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get size(): number {
    return this.peaks.length;
  }

  get capacity(): number {
    return this.#capacity;
  }

  push(sample: Sample): void {
    this.inputs.push(sample.inputBytes);
    this.#logInputs.push(Math.log(sample.inputBytes + 1));
    this.peaks.push(sample.peakMib);
    this.seconds.push(sample.runtimeSeconds);
    this.times.push(sample.at);
    if (this.peaks.length > this.#capacity) this.dropOldest();
    this.#nearest = undefined;
  }

  dropOldest(): void {
    this.inputs.shift();
    this.#logInputs.shift();
    this.peaks.shift();
    this.seconds.shift();
    this.times.shift();
    this.#nearest = undefined;
  }

  /** Peaks of the up to 20 samples whose input is nearest by ratio, the nearest first, newer before older. */
  nearestPeaks(inputBytes: number): readonly number[] {
    if (this.#nearest?.inputBytes === inputBytes) return this.#nearest.peaks;
    const wanted = Math.log(inputBytes + 1);
    const distances: number[] = [];
    const peaks: number[] = [];
    for (let i = this.peaks.length - 1; i >= 0; i -= 1) {
      const distance = Math.abs((this.#logInputs[i] as number) - wanted);
      if (peaks.length === MOST_NEIGHBOURS && distance >= (distances.at(-1) as number)) continue;
      let j = peaks.length;
      while (j > 0 && (distances[j - 1] as number) > distance) j -= 1;
      distances.splice(j, 0, distance);
      peaks.splice(j, 0, this.peaks[i] as number);
      if (peaks.length > MOST_NEIGHBOURS) {
        distances.pop();
        peaks.pop();
      }
    }
    this.#nearest = { inputBytes, peaks };
    return peaks;
  }

  /** The largest of the last `count` peaks, 0 without any. */
  recentMax(count: number): number {
    let max = 0;
    for (let i = Math.max(0, this.peaks.length - count); i < this.peaks.length; i += 1) {
      max = Math.max(max, this.peaks[i] as number);
    }
    return max;
  }

  save(): SampleWindowState {
    return {
      inputs: [...this.inputs],
      peaks: [...this.peaks],
      seconds: [...this.seconds],
      times: [...this.times],
    };
  }

  restore(state: SampleWindowState): void {
    const { inputs, peaks, seconds, times } = state;
    if ([inputs, seconds, times].some((column) => column.length !== peaks.length)) {
      throw new RangeError("the columns of a window differ in length");
    }
    if ([...inputs, ...peaks, ...seconds].some((value) => value < 0)) {
      throw new RangeError("a window holds negative sizes");
    }
    state.peaks.forEach((peakMib, i) =>
      this.push({
        inputBytes: state.inputs[i] as number,
        peakMib,
        runtimeSeconds: state.seconds[i] as number,
        at: state.times[i] as number,
      }),
    );
  }
}

const MOST_NEIGHBOURS = 20;
