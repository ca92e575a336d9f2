import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { fitClassSizes } from "./class-sizes.ts";
import { forecast, holtWinters, seasonalNaive } from "./forecast.ts";

const daily = (hours: number, at: (hour: number, day: number) => number) =>
  Array.from({ length: hours }, (_, i) => at(i % 24, Math.floor(i / 24)));

describe("forecast", () => {
  test("the same day again and again → seasonal-naive repeats it exactly", () => {
    const series = daily(96, (hour) => (hour === 9 ? 30 : 2));
    expect(seasonalNaive(series, 24, 24)).toEqual(series.slice(0, 24));
    expect(forecast(series, 24, 24).error).toBe(0);
  });

  test("a daily rhythm that grows → Holt-Winters is chosen and beats last day's values", () => {
    const series = daily(
      24 * 10,
      (hour, day) => (hour < 12 ? 10 : 20) + day * 24 * 0.5 + hour * 0.5,
    );
    expect(forecast(series, 24, 24).method).toBe("holt-winters");
  });

  test("too short for a season → the mean", () => {
    expect(forecast([2, 4], 24, 2)).toEqual({ method: "mean", values: [3, 3], error: undefined });
  });

  test("any series → finite values that are not negative", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1e6), { maxLength: 100 }), (series) => {
        for (const value of [...holtWinters(series, 24, 30), ...forecast(series, 24, 30).values]) {
          expect(Number.isFinite(value)).toBe(true);
          expect(value).toBeGreaterThanOrEqual(0);
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe("fitClassSizes", () => {
  test("two clusters and two classes → the top of each cluster", () => {
    const runs = [100, 110, 120, 1000, 1010].map((memoryMib) => ({ memoryMib, hours: 1 }));
    const { memoryMib, presentWaste, fittedWaste } = fitClassSizes(runs, [2048], 2);
    expect(memoryMib).toEqual([128, 1024]);
    expect(fittedWaste).toBeLessThan(presentWaste);
  });

  test("any runs → every run fits, and no fewer classes waste less", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1 }), (sizes) => {
        const runs = sizes.map((memoryMib) => ({ memoryMib, hours: 1 }));
        const three = fitClassSizes(runs, [], 3);
        const two = fitClassSizes(runs, [], 2);
        expect(Math.max(...three.memoryMib)).toBeGreaterThanOrEqual(Math.max(...sizes));
        expect(three.fittedWaste).toBeLessThanOrEqual(two.fittedWaste + 1e-9);
      }),
      { numRuns: 40 },
    );
  });

  test("nothing has run → no classes", () => {
    expect(fitClassSizes([], [256], 3).memoryMib).toEqual([]);
  });
});
