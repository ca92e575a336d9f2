import type { Sample, SampleWindow } from "./sample-window.ts";

/** Predicts a family's peak for an input; an offset is put on top, so it need not be safe. */
export interface Predictor {
  /** MiB for this input, 0 or less where it knows nothing yet. */
  predict(inputBytes: number): number;
  learn(sample: Sample): void;
  save(): number[];
  restore(state: readonly number[]): void;
}

const stateless = { learn: () => {}, save: () => [], restore: () => {} };

/** The same for every input: with its offset it is the cheapest quantile of the peaks. */
export const constantPredictor = (): Predictor => ({ ...stateless, predict: () => 100 });

/** The mean or largest peak of the `count` samples nearest in input size. */
export function nearestPredictor(
  window: SampleWindow,
  count: number,
  summary: "mean" | "max",
): Predictor {
  return {
    ...stateless,
    predict(inputBytes) {
      const peaks = window.nearestPeaks(inputBytes);
      const n = Math.min(count, peaks.length);
      let sum = 0;
      let max = 0;
      for (let i = 0; i < n; i += 1) {
        sum += peaks[i] as number;
        max = Math.max(max, peaks[i] as number);
      }
      return summary === "max" ? max : n === 0 ? 0 : sum / n;
    },
  };
}

/** The largest of the last `count` peaks, whatever their input. */
export const recentPredictor = (window: SampleWindow, count: number): Predictor => ({
  ...stateless,
  predict: () => window.recentMax(count),
});

/** The bounds that keep a regression from leaving what the family has ever shown by more than a factor of two. */
export interface PeakRange {
  readonly min: number;
  readonly max: number;
}

/** Least squares of the peak on the input size, both as they are or both as logarithms, slightly ridged. */
export function regressionPredictor(scale: "linear" | "log", range: PeakRange): Predictor {
  const log = scale === "log";
  let n = 0;
  let sumX = 0;
  let sumY = 0;
  let sumXX = 0;
  let sumXY = 0;
  // Inputs in MB keep the squares within what a double adds exactly enough.
  const scaled = (inputBytes: number) => (log ? Math.log(inputBytes + 1) : inputBytes / 1e6);
  return {
    predict(inputBytes) {
      if (n === 0) return 0;
      const meanX = sumX / n;
      const meanY = sumY / n;
      const ridge = (log ? 0.01 : 1e-6 * (meanX * meanX + 1)) / n;
      const slope = (sumXY / n - meanX * meanY) / (Math.max(0, sumXX / n - meanX * meanX) + ridge);
      const fitted = meanY + slope * (scaled(inputBytes) - meanX);
      const mib = log ? Math.exp(Math.min(fitted, 20)) : fitted;
      return Math.min(Math.max(mib, range.min / 2), range.max * 2);
    },
    learn(sample) {
      const x = scaled(sample.inputBytes);
      const y = log ? Math.log(sample.peakMib) : sample.peakMib;
      n += 1;
      sumX += x;
      sumY += y;
      sumXX += x * x;
      sumXY += x * y;
    },
    save: () => [n, sumX, sumY, sumXX, sumXY],
    restore(state) {
      [n = 0, sumX = 0, sumY = 0, sumXX = 0, sumXY = 0] = state;
    },
  };
}
