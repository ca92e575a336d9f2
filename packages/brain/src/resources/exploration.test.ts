import { describe, expect, test } from "vitest";

import { drawnArm, Explorer } from "./exploration.ts";

const both = [
  { name: "half", factor: 0.5 },
  { name: "double", factor: 2 },
] as const;

describe("Explorer", () => {
  test("a rate of 0.2 → each arm is drawn as often as its written propensity says", () => {
    const explorer = new Explorer({ rate: 0.2, failures: 1 }, 7);
    const drawn = { same: 0, half: 0, double: 0, "three quarters": 0 };
    for (let i = 0; i < 5000; i += 1) drawn[drawnArm(explorer.offer(both, 1)).name] += 1;
    expect(drawn.same / 5000).toBeCloseTo(0.8, 1);
    expect(drawn.half / 5000).toBeCloseTo(0.1, 1);
    expect(drawn.double / 5000).toBeCloseTo(0.1, 1);
  });

  test("failures beyond the budget → nothing but the best known until they are history", () => {
    const explorer = new Explorer({ rate: 0.5, failures: 0.02 }, 7);
    explorer.learn(true);
    expect(explorer.offer(both, 1).arms[0]?.propensity).toBe(0.5);
    explorer.learn(true);
    expect(explorer.offer(both, 1).arms[0]?.propensity).toBe(1);
    for (let i = 0; i < 100; i += 1) explorer.learn(false);
    expect(explorer.offer(both, 1).arms[0]?.propensity).toBe(0.5);
  });

  test("saved and restored → the same draws from there on", () => {
    const explorer = new Explorer({ rate: 0.5, failures: 1 }, 7);
    explorer.offer(both, 1);
    const restored = new Explorer({ rate: 0.5, failures: 1 }, 99);
    restored.restore(explorer.save());
    expect(restored.offer(both, 1)).toEqual(explorer.offer(both, 1));
  });
});
