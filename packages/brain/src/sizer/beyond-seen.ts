import type { SampleWindow } from "./sample-window.ts";

/** Within twice the largest input the experts' margins do. */
const BEYOND = 2;
/** Inputs that lie closer together say nothing about growth. */
const LEAST_SPAN = 4;
/** Of the peaks' variance, what the line has to explain. */
const LEAST_FIT = 0.9;
const MARGIN = 1.15;
/** Nobody knows how far a line goes on. */
const MOST_TIMES = 8;

/**
 * What a task needs whose input is far larger than any that its family was seen with, where memory has grown along a line
 * with the input so far; 0 where there is nothing to go by. The experts do not look so far: no task that they could have
 * learned it from has been there.
 */
export function peakBeyond(
  { inputs, peaks }: Pick<SampleWindow, "inputs" | "peaks">,
  inputBytes: number,
): number {
  if (inputs.length < 2) return 0;
  const [least, most] = [Math.min(...inputs), Math.max(...inputs)];
  if (least <= 0 || most < LEAST_SPAN * least || inputBytes < BEYOND * most) return 0;
  const [middleX, middleY] = [mean(inputs), mean(peaks)];
  let [xx, xy, yy] = [0, 0, 0];
  for (const [i, input] of inputs.entries()) {
    const [x, y] = [input - middleX, (peaks[i] ?? 0) - middleY];
    [xx, xy, yy] = [xx + x * x, xy + x * y, yy + y * y];
  }
  if (xy <= 0 || xy * xy < LEAST_FIT * xx * yy) return 0;
  const expected = middleY + (xy / xx) * (inputBytes - middleX);
  return Math.min(MARGIN * expected, MOST_TIMES * Math.max(...peaks));
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
