import fc from "fast-check";
import { expect, test } from "vitest";
import { median, medianInterval, quantile, spread } from "./statistics.ts";

test("an odd and an even number of samples → the middle one, the mean of the middle two", () => {
  expect(median([9, 1, 5])).toBe(5);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(median([])).toBeNaN();
});

test("R's documented type-7 quartiles of 1…10 → 3.25 and 7.75", () => {
  const samples = [10, 9, 8, 7, 6, 5, 4, 3, 2, 1];
  expect([quantile(samples, 0.25), quantile(samples, 0.75)]).toEqual([3.25, 7.75]);
  expect(spread(samples)).toBeCloseTo(4.5 / 5.5);
});

// Table of ranks for 95 % intervals of the median, as in Conover and in Hahn & Meeker.
test.for([
  [6, 1, 6],
  [8, 1, 8],
  [9, 2, 8],
  [15, 4, 12],
  [20, 6, 15],
  [50, 18, 33],
])("%i samples → the interval from the %ith to the %ith", ([count = 0, low, high]) => {
  const samples = Array.from({ length: count }, (_, index) => count - index);
  expect(medianInterval(samples)).toEqual({ low, high });
});

test("any samples → the interval holds the median, the order of samples does not matter", () => {
  const samplesOf = fc.array(fc.double({ min: 0, max: 1e9, noNaN: true }), { minLength: 1 });
  fc.assert(
    fc.property(samplesOf, (samples) => {
      const { low, high } = medianInterval(samples);
      expect(low).toBeLessThanOrEqual(median(samples));
      expect(high).toBeGreaterThanOrEqual(median(samples));
      expect(medianInterval(samples.toReversed())).toEqual({ low, high });
    }),
  );
});
