import { describe, expect, test } from "vitest";

import { efficiency, slowdown } from "./resource-decision.ts";
import { type MeasuredRun, ThroughputModel } from "./throughput-model.ts";

const run = (over: Partial<MeasuredRun> = {}): MeasuredRun => ({
  inputBytes: 1e6,
  vcpus: 1,
  wallSeconds: 100,
  cpuSeconds: 100,
  at: 0,
  finished: true,
  ...over,
});

describe("ThroughputModel", () => {
  test("nothing has run → no estimate", () => {
    expect(new ThroughputModel().estimate(1e6)).toBeUndefined();
  });

  test("a program with a tenth serial on 4 vCPUs → that share and its one-core time are found", () => {
    const model = new ThroughputModel();
    const wallSeconds = 100 * slowdown(0.1, 4);
    for (let i = 0; i < 30; i += 1) model.learn(run({ vcpus: 4, wallSeconds, cpuSeconds: 100 }));
    const estimate = model.estimate(1e6);
    expect(estimate?.serialShare).toBeCloseTo(0.1, 1);
    expect(estimate?.work.middle).toBeGreaterThan(90);
    expect(estimate?.work.middle).toBeLessThan(110);
  });

  test("time that grows with the input → scaled to inputs in between", () => {
    const model = new ThroughputModel();
    for (let i = 1; i <= 20; i += 1) {
      model.learn(run({ inputBytes: i * 1e6, wallSeconds: i * 10, cpuSeconds: i * 10 }));
    }
    const middle = model.estimate(10.5e6)?.work.middle ?? 0;
    expect(middle).toBeGreaterThan(95);
    expect(middle).toBeLessThan(115);
  });

  test("a run cut off before its expected end → nothing learned; after it → a longer estimate", () => {
    const model = new ThroughputModel();
    for (let i = 0; i < 5; i += 1) model.learn(run());
    const before = model.estimate(1e6)?.work.middle ?? 0;
    model.learn(run({ wallSeconds: 10, finished: false }));
    expect(model.estimate(1e6)?.work.middle).toBe(before);
    for (let i = 0; i < 5; i += 1) model.learn(run({ wallSeconds: 500, finished: false }));
    expect(model.estimate(1e6)?.work.middle).toBeGreaterThan(before);
    expect(model.estimate(1e6)?.longestSeconds).toBe(500);
  });

  test("saved and restored → the same estimate", () => {
    const model = new ThroughputModel();
    for (let i = 1; i <= 20; i += 1) model.learn(run({ inputBytes: i * 1e5, vcpus: 1 + (i % 4) }));
    const restored = new ThroughputModel();
    restored.restore(JSON.parse(JSON.stringify(model.save())));
    expect(restored.estimate(7e5)).toEqual(model.estimate(7e5));
    expect([...restored.widths]).toEqual([...model.widths]);
  });
});

describe("Amdahl's law", () => {
  test("efficiency × vCPUs → the speed-up, 1 / slowdown", () => {
    for (const share of [0, 0.1, 0.5, 1]) {
      for (const vcpus of [1, 2, 8, 16]) {
        expect(efficiency(share, vcpus) * vcpus).toBeCloseTo(1 / slowdown(share, vcpus), 10);
      }
    }
  });
});
