import type { Experience } from "./experience.ts";

/** How a kind of task grows with its input, as its finished runs have shown. */
export interface Growth {
  /** The sizes that it was run with, in bytes. */
  readonly inputBytes: readonly [least: number, most: number];
  /** How many times as much memory it takes for ten times the input. */
  readonly memoryPerTenfold: number;
  /** How many times as long it runs for ten times the input. */
  readonly timePerTenfold: number;
}

/** Sizes that lie closer together say nothing about growth. */
const LEAST_SPAN = 2;

/** Powers of the input's size through the runs that ended well; undefined where their inputs hardly differ. */
export function growthOf(experiences: Iterable<Experience>): Growth | undefined {
  const runs = [...experiences].filter(
    ({ outcome, inputBytes }) => outcome === "ok" && inputBytes > 0,
  );
  const sizes = runs.map(({ inputBytes }) => inputBytes);
  const [least, most] = [Math.min(...sizes), Math.max(...sizes)];
  if (runs.length < 2 || most < LEAST_SPAN * least) return undefined;
  return {
    inputBytes: [least, most],
    memoryPerTenfold: 10 ** slope(runs, ({ peakMib }) => peakMib),
    timePerTenfold: 10 ** slope(runs, ({ wallSeconds }) => wallSeconds),
  };
}

/** The slope of the least-squares line through logarithms. */
function slope(runs: readonly Experience[], of: (run: Experience) => number): number {
  const xs = runs.map(({ inputBytes }) => Math.log(inputBytes));
  const ys = runs.map((run) => Math.log(Math.max(1e-3, of(run))));
  const [middleX, middleY] = [mean(xs), mean(ys)];
  const along = xs.map((x, at) => (x - middleX) * ((ys[at] ?? 0) - middleY));
  return mean(along) / mean(xs.map((x) => (x - middleX) ** 2));
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
