import fc from "fast-check";
import { expect, test } from "vitest";
import type { Experience, OutcomeKind } from "./experience.ts";
import { growthOf } from "./growth.ts";

const run = (
  inputBytes: number,
  peakMib: number,
  wallSeconds: number,
  outcome: OutcomeKind = "ok",
) => ({ inputBytes, peakMib, wallSeconds, outcome }) as Experience;

test("runs of a power law → its powers, whatever the sizes", () => {
  const sizes = fc.uniqueArray(fc.integer({ min: 1, max: 1e9 }), { minLength: 2, maxLength: 20 });
  fc.assert(
    fc.property(sizes, fc.double({ min: 0, max: 2, noNaN: true }), (inputs, power) => {
      fc.pre(Math.max(...inputs) >= 2 * Math.min(...inputs));
      const found = growthOf(inputs.map((bytes) => run(bytes, 100, 0.5 * bytes ** power)));
      expect(found?.inputBytes).toEqual([Math.min(...inputs), Math.max(...inputs)]);
      expect(found?.memoryPerTenfold).toBeCloseTo(1);
      expect((found?.timePerTenfold ?? 0) / 10 ** power).toBeCloseTo(1);
    }),
  );
});

test("no runs, one size, sizes alike, runs that did not end well → nothing is said", () => {
  expect(growthOf([])).toBeUndefined();
  expect(growthOf([run(10, 1, 1), run(19, 2, 2)])).toBeUndefined();
  expect(growthOf([run(10, 1, 1), run(1000, 2, 2, "failed")])).toBeUndefined();
  expect(growthOf([run(0, 1, 1), run(1000, 2, 2)])).toBeUndefined();
});
