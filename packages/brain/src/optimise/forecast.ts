/** A forecast of the next values of a series. */
export interface Forecast {
  readonly method: "mean" | "seasonal-naive" | "holt-winters";
  readonly values: readonly number[];
  /** Mean absolute error on the last season, which the method had not seen. */
  readonly error: number | undefined;
}

type Forecaster = (series: readonly number[], season: number, horizon: number) => number[];

const mean: Forecaster = (series, _season, horizon) => {
  const recent = series.slice(-24);
  const average = recent.reduce((sum, value) => sum + value, 0) / Math.max(1, recent.length);
  return Array.from({ length: horizon }, () => average);
};

/** The value of one season ago. */
export const seasonalNaive: Forecaster = (series, season, horizon) =>
  Array.from({ length: horizon }, (_, i) => series[series.length - season + (i % season)] ?? 0);

const LEVEL = 0.2;
const TREND = 0.02;
const SEASON = 0.2;
// A trend carried on for ever promises nonsense: it fades by a tenth a step.
const DAMPING = 0.9;

/** Holt-Winters with additive seasons and a damped trend, never below zero. */
export const holtWinters: Forecaster = (series, season, horizon) => {
  const first = series.slice(0, season);
  let level = first.reduce((sum, value) => sum + value, 0) / Math.max(1, first.length);
  let trend = 0;
  const seasonal = first.map((value) => value - level);
  for (let i = season; i < series.length; i += 1) {
    const value = series[i] as number;
    const swing = seasonal[i % season] ?? 0;
    const before = level;
    level = LEVEL * (value - swing) + (1 - LEVEL) * (level + DAMPING * trend);
    trend = TREND * (level - before) + (1 - TREND) * DAMPING * trend;
    seasonal[i % season] = SEASON * (value - level) + (1 - SEASON) * swing;
  }
  let carried = 0;
  let fade = 1;
  return Array.from({ length: horizon }, (_, i) => {
    fade *= DAMPING;
    carried += fade * trend;
    return Math.max(0, level + carried + (seasonal[(series.length + i) % season] ?? 0));
  });
};

/**
 * Forecasts by whichever method was best on the last whole season; the mean where there are fewer than
 * two seasons to judge by.
 */
export function forecast(series: readonly number[], season: number, horizon: number): Forecast {
  const methods: [Forecast["method"], Forecaster][] = [["mean", mean]];
  if (series.length >= 2 * season) {
    methods.push(["seasonal-naive", seasonalNaive], ["holt-winters", holtWinters]);
  }
  let best: [Forecast["method"], Forecaster] = ["mean", mean];
  let least: number | undefined;
  const known = series.slice(0, -season);
  const held = series.slice(-season);
  if (known.length >= season) {
    for (const method of methods) {
      const guessed = method[1](known, season, held.length);
      const error =
        held.reduce((sum, value, i) => sum + Math.abs(value - (guessed[i] ?? 0)), 0) / held.length;
      if (least === undefined || error < least) {
        least = error;
        best = method;
      }
    }
  }
  return { method: best[0], values: best[1](series, season, horizon), error: least };
}
