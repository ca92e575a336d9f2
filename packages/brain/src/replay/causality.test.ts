import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { createSizer } from "../sizer/sizer.ts";
import { vpaPolicy } from "../sizer/baselines.ts";
import { findCausalityBreach } from "./causality.ts";
import { syntheticTrace } from "./testing/synthetic-trace.ts";

const random = (seed: number) => {
  let state = seed;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
};

describe("causality", () => {
  test("another future → the same decisions up to the cut, at any cut, for any trace", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1e6 }),
        fc.double({ min: 0.05, max: 0.95, noNaN: true }),
        fc.constantFrom(1, 0.5),
        (seed, share, timeToFailure) => {
          const tasks = syntheticTrace(120, seed);
          const cut = (tasks.at(-1)?.startSeconds ?? 0) * share;
          const options = { timeToFailure };
          const breach = findCausalityBreach(tasks, createSizer, cut, random(seed), options);
          expect(breach).toBeUndefined();
        },
      ),
      { numRuns: 15 },
    );
  });

  test("results told at the start (protocol broken on purpose) → the breach is found", () => {
    const tasks = syntheticTrace(200, 7);
    const cut = (tasks.at(-1)?.startSeconds ?? 0) / 2;
    for (const makePolicy of [() => createSizer(), () => vpaPolicy(0.9, 1.15)]) {
      const breach = findCausalityBreach(tasks, makePolicy, cut, random(7), {
        feedback: "immediate",
      });
      expect(breach).toBeDefined();
    }
  });
});
