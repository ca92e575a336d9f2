import fc from "fast-check";
import { expect, test } from "vitest";
import { peakBeyond } from "./beyond-seen.ts";

const seen = (...runs: readonly (readonly [inputBytes: number, peakMib: number])[]) => ({
  inputs: runs.map(([inputBytes]) => inputBytes),
  peaks: runs.map(([, peakMib]) => peakMib),
});

test("runs along a line, an input beyond them → the line's peak and 15 %", () => {
  const runs = seen([1e6, 60], [10e6, 150], [5e6, 100]);
  expect(peakBeyond(runs, 30e6)).toBeCloseTo(1.15 * 350);
});

test("an input that reaches too far beyond → 8 times the largest peak, no more", () => {
  expect(peakBeyond(seen([1e6, 10], [10e6, 100]), 1e12)).toBe(800);
});

test.each([
  ["nothing seen", seen(), 1e9],
  ["one run", seen([1e6, 10]), 1e9],
  ["an input within twice the largest", seen([1e6, 10], [10e6, 100]), 19e6],
  ["inputs alike", seen([1e6, 10], [3e6, 30]), 1e9],
  ["inputs without a size", seen([0, 10], [1e6, 30]), 1e9],
  ["peaks that fall", seen([1e6, 100], [10e6, 10]), 1e9],
  ["peaks that stay", seen([1e6, 100], [10e6, 100]), 1e9],
  ["peaks all over", seen([1e6, 10], [2e6, 900], [5e6, 20], [10e6, 800]), 1e9],
])("%s → nothing to go by", (_name, runs, inputBytes) => {
  expect(peakBeyond(runs, inputBytes)).toBe(0);
});

test("whatever was seen → a finite size, never above 8 times the largest peak", () => {
  const run = fc.tuple(fc.double({ min: 0, max: 1e15, noNaN: true }), fc.double({ min: 1, max: 131_072, noNaN: true })); // prettier-ignore
  fc.assert(
    fc.property(
      fc.array(run, { maxLength: 30 }),
      fc.double({ min: 0, max: 1e15, noNaN: true }),
      (runs, input) => {
        // prettier-ignore
        const peaks = runs.map(([, peak]) => peak);
        const mib = peakBeyond(seen(...runs), input);
        expect(mib).toBeGreaterThanOrEqual(0);
        expect(mib).toBeLessThanOrEqual(8 * Math.max(0, ...peaks));
      },
    ),
  );
});
