import { isQueztlError } from "@queztl/errors";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { SizeObservation, SizeQuery } from "./memory-policy.ts";
import { decideSize } from "./size-decision.ts";
import { createSizer, restoreSizer, type Sizer } from "./sizer.ts";

const query = (over: Partial<SizeQuery> = {}): SizeQuery => ({
  family: "mesh.decimate",
  inputBytes: 1e6,
  at: 0,
  ...over,
});

const ok = (over: Partial<SizeObservation> = {}): SizeObservation => ({
  ...query(),
  allocatedMib: 4096,
  peakMib: 300,
  runtimeSeconds: 60,
  outcome: "ok",
  ...over,
});

function teach(sizer: Sizer, count: number, peak: (i: number) => number, family = "mesh.decimate") {
  for (let i = 0; i < count; i += 1) {
    sizer.estimate(query({ family, at: i }));
    sizer.observe(ok({ family, at: i, peakMib: peak(i), inputBytes: 1e6 * (1 + (i % 10)) }));
  }
}

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return isQueztlError(error) ? error.code : String(error);
  }
  return "none";
}

describe("estimate", () => {
  test("nothing known → what the user asked for, 4 GiB without a request", () => {
    const sizer = createSizer();
    expect(sizer.estimate(query({ requestMib: 1000 })).memoryMib).toBe(1008);
    expect(sizer.estimate(query({ family: "other" })).memoryMib).toBe(4096);
    expect(sizer.estimate(query({ family: "third", requestMib: null })).memoryMib).toBe(4096);
    expect(sizer.estimate(query()).evidence.basis).toBe("request");
  });

  test("tasks of 300 MiB finished → little above 300 MiB, with the count and the range as reason", () => {
    const sizer = createSizer();
    teach(sizer, 30, (i) => 290 + (i % 3) * 5);
    const estimate = sizer.estimate(query({ at: 100 }));
    expect(estimate.memoryMib).toBeGreaterThanOrEqual(304);
    expect(estimate.memoryMib).toBeLessThanOrEqual(352);
    expect(estimate.reasons[0]).toBe("30 tasks of this family peaked at 290–300 MiB");
    expect(estimate.confidence).toBeGreaterThan(0.9);
    expect(estimate.interval[0]).toBeLessThanOrEqual(290);
    expect(estimate.interval[1]).toBeGreaterThanOrEqual(300);
  });

  test("memory that grows with the input → small inputs get less than large ones", () => {
    const sizer = createSizer();
    teach(sizer, 60, (i) => 100 + 200 * (1 + (i % 10)));
    const small = sizer.estimate(query({ at: 100, inputBytes: 1e6 })).memoryMib;
    const large = sizer.estimate(query({ at: 100, inputBytes: 1e7 })).memoryMib;
    expect(small).toBeLessThan(450);
    expect(large).toBeGreaterThan(2000);
  });

  test("a new family with a name like a known one → near what that one needs, not 4 GiB", () => {
    const sizer = createSizer();
    teach(sizer, 10, () => 500, "rnaseq.markduplicates_picard");
    teach(sizer, 10, () => 80, "rnaseq.samtools_index");
    const estimate = sizer.estimate(query({ family: "chipseq.markduplicates_picard", at: 50 }));
    expect(estimate.evidence.basis).toBe("recall");
    expect(estimate.memoryMib).toBeGreaterThanOrEqual(500);
    expect(estimate.memoryMib).toBeLessThan(1000);
    expect(estimate.reasons.join()).toContain("rnaseq.markduplicates_picard");
  });

  test("many tasks of an unknown family at once → later ones lean on the user's request", () => {
    const sizer = createSizer();
    teach(sizer, 10, () => 80, "assay.sort");
    const sizes = Array.from({ length: 12 }, () =>
      sizer.estimate(query({ family: "survey.sort", requestMib: 8192, at: 50 })),
    ).map(({ memoryMib }) => memoryMib);
    expect(sizes.at(-1)).toBe(8192);
    expect(sizes[0]).toBeLessThan(8192);
  });

  test("a safer policy → never less memory than a cheap one for noisy tasks", () => {
    const noisy = (i: number) => 200 + ((i * 7919) % 97) * 10;
    const [cheap, safe] = (["cheap", "safe"] as const).map((policy) => {
      const sizer = createSizer({ policy });
      teach(sizer, 100, noisy);
      return sizer.estimate(query({ at: 200 })).memoryMib;
    });
    expect(safe).toBeGreaterThan(cheap as number);
  });
});

describe("retry", () => {
  test("a failure below what was seen → above the most seen; above it → doubled", () => {
    const sizer = createSizer();
    teach(sizer, 20, (i) => 100 + i * 20);
    const retry = (failedMib: number) =>
      sizer.retry({ ...query({ at: 100 }), attempt: 1, failedMib }).memoryMib;
    expect(retry(200)).toBe(512);
    expect(retry(512)).toBe(1024);
  });

  test("any failure → always more than what failed, until the cap is an error", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 12 }),
        fc.double({ min: 1, max: 131_071, noNaN: true }),
        (samples, failedMib) => {
          const sizer = createSizer();
          teach(sizer, samples, (i) => 100 + i);
          const { memoryMib } = sizer.retry({ ...query({ at: 99 }), attempt: 1, failedMib });
          expect(memoryMib).toBeGreaterThan(failedMib);
        },
      ),
      { numRuns: 50 },
    );
    const cap = { ...query(), attempt: 3, failedMib: 131_072 };
    expect(codeOf(() => createSizer().retry(cap))).toBe("QZ_BRAIN_MEMORY_CAP_REACHED");
  });
});

describe("observe", () => {
  test("an outcome dated later than the query → not used before its time", () => {
    const sizer = createSizer();
    sizer.observe(ok({ at: 10 }));
    expect(sizer.estimate(query({ at: 9 })).samples).toBe(0);
    expect(sizer.estimate(query({ at: 10 })).samples).toBe(1);
  });

  test("an OOM not yet resolved → sizes below it are avoided at once", () => {
    const sizer = createSizer();
    teach(sizer, 20, () => 300);
    const before = sizer.estimate(query({ at: 50 })).memoryMib;
    for (let i = 0; i < 5; i += 1) {
      sizer.observe(ok({ at: 51, outcome: "oom", allocatedMib: before, peakMib: before }));
    }
    expect(sizer.estimate(query({ at: 52 })).memoryMib).toBeGreaterThan(before);
  });

  test("a drift to twice the memory → followed within 20 tasks", () => {
    const sizer = createSizer();
    teach(sizer, 100, () => 300);
    for (let i = 100; i < 120; i += 1) sizer.observe(ok({ at: i, peakMib: 600 }));
    expect(sizer.estimate(query({ at: 130 })).memoryMib).toBeGreaterThanOrEqual(608);
  });
});

describe("programs that fill what they get", () => {
  /** Peaks at its limit whatever that is; needs 500 MiB. */
  function runElastic(sizer: Sizer, from: number, count: number): number[] {
    return Array.from({ length: count }, (_, i) => {
      const at = from + i;
      const { memoryMib } = sizer.estimate(query({ at }));
      sizer.observe(ok({ at, allocatedMib: memoryMib, peakMib: memoryMib - 1 }));
      return memoryMib;
    });
  }

  test("a sorter under rising limits → recognised, and given the least that was enough", () => {
    const sizer = createSizer();
    const sizes = runElastic(sizer, 0, 40);
    expect(Math.max(...sizes)).toBeLessThan(4096 * 2);
    const { elasticAboveMib, memoryMib, reasons } = sizer.estimate(query({ at: 50 }));
    expect(elasticAboveMib).toBe(0);
    expect(memoryMib).toBe(Math.min(...sizes));
    expect(reasons.join()).toContain("fills whatever memory it gets");
  });

  test("a probe that failed → remembered; a run that does not fill its memory → sized by its peak", () => {
    const sizer = createSizer();
    runElastic(sizer, 0, 40);
    sizer.observe(ok({ at: 41, outcome: "oom", allocatedMib: 3000, peakMib: 3000 }));
    expect(sizer.estimate(query({ at: 50 })).elasticAboveMib).toBe(3000);
    sizer.observe(ok({ at: 51, allocatedMib: 4096, peakMib: 500 }));
    expect(sizer.estimate(query({ at: 52 })).elasticAboveMib).toBeUndefined();
  });

  test("peaks that follow growing inputs closely → not taken for a filler", () => {
    const sizer = createSizer();
    for (let i = 0; i < 60; i += 1) {
      const inputBytes = 1e7 * (1 + (i % 10));
      const { memoryMib } = sizer.estimate(query({ at: i, inputBytes }));
      const peakMib = inputBytes / 1e5;
      const fits = peakMib <= memoryMib;
      const allocatedMib = fits ? memoryMib : 4096;
      sizer.observe(ok({ at: i, inputBytes, peakMib, allocatedMib }));
    }
    expect(sizer.families()[0]?.elastic).toBe(false);
  });
});

describe("intervals", () => {
  test("noise whose spread doubles half-way → nine of ten peaks still lie within", () => {
    const sizer = createSizer();
    let state = 77;
    const random = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
    let inside = 0;
    for (let i = 0; i < 600; i += 1) {
      const [low, high] = sizer.estimate(query({ at: i })).interval;
      const spread = i < 300 ? 100 : 200;
      const peakMib = 400 + (random() + random() - 1) * spread;
      if (i >= 100 && peakMib >= low && peakMib <= high) inside += 1;
      sizer.observe(ok({ at: i, peakMib, allocatedMib: 4096 }));
    }
    expect(inside / 500).toBeGreaterThan(0.84);
    expect(inside / 500).toBeLessThan(0.97);
  });
});

describe("hostile input", () => {
  const bad: Partial<Record<keyof SizeObservation, unknown>>[] = [
    { family: "" },
    { family: "x".repeat(513) },
    { family: 7 },
    { inputBytes: Number.NaN },
    { inputBytes: -1 },
    { inputBytes: Infinity },
    { requestMib: 0 },
    { requestMib: "4096" },
    { at: Number.NaN },
    { peakMib: -5 },
    { peakMib: Number.NaN },
    { runtimeSeconds: -1 },
    { allocatedMib: Infinity },
    { outcome: "maybe" },
  ];
  test.each(bad)("%j → a coded error and no change", (over) => {
    const sizer = createSizer();
    teach(sizer, 5, () => 300);
    const before = JSON.stringify(sizer.save());
    const hostile = { ...ok({ at: 6 }), ...over } as SizeObservation;
    expect(codeOf(() => sizer.observe(hostile))).toBe("QZ_BRAIN_INPUT_INVALID");
    expect(JSON.stringify(sizer.save())).toBe(before);
  });

  test("a flood of outcomes from the future → bounded, and the near ones are kept", () => {
    const sizer = createSizer();
    for (let i = 0; i < 10_100; i += 1) sizer.observe(ok({ at: 1e6 + i }));
    expect(sizer.save().held).toHaveLength(10_000);
    expect(sizer.save().held[0]?.at).toBe(1e6);
  });

  test.each([
    { policy: 2 },
    { policy: "bold" },
    { settings: { coldStartMib: Number.NaN } },
    { settings: { windowSize: 0 } },
    { settings: { grid: { floorMib: 64, stepMib: 0, capMib: 1024 } } },
  ])("the options %j → a coded error", (options) => {
    expect(codeOf(() => createSizer(options as never))).toBe("QZ_BRAIN_INPUT_INVALID");
  });

  test("families named like object members → kept apart like any other", () => {
    const sizer = createSizer();
    for (const family of ["__proto__", "constructor", "toString"]) {
      teach(sizer, 5, () => 200, family);
      expect(sizer.estimate(query({ family, at: 9 })).samples).toBe(5);
    }
    const restored = restoreSizer(JSON.parse(JSON.stringify(sizer.save())));
    expect(restored.families().map(({ family }) => family)).toContain("__proto__");
    expect(({} as Record<string, unknown>)["samples"]).toBeUndefined();
  });

  test("a family that lies → others move by no more than a step of the grid", () => {
    const honest = createSizer();
    const lied = createSizer();
    for (const sizer of [honest, lied]) teach(sizer, 80, (i) => 300 + (i % 7));
    for (let i = 0; i < 500; i += 1) {
      const peakMib = i % 2 === 0 ? 1e300 : 0;
      lied.observe(ok({ family: "liar", at: 80, peakMib, runtimeSeconds: 1e300 }));
    }
    const [a, b] = [honest, lied].map((sizer) => sizer.estimate(query({ at: 100 })).memoryMib);
    expect(Math.abs((a as number) - (b as number))).toBeLessThanOrEqual(16);
    const own = lied.estimate(query({ family: "liar", at: 100 })).memoryMib;
    expect(own).toBeLessThanOrEqual(131_072);
  });

  test("more families than are kept → the count is bounded, the valuable one stays", () => {
    const sizer = createSizer({ settings: { mostFamilies: 20 } });
    teach(sizer, 30, () => 5000, "valuable");
    for (let i = 0; i < 200; i += 1) sizer.estimate(query({ family: `noise-${i}`, at: 100 + i }));
    expect(sizer.families()).toHaveLength(20);
    expect(sizer.estimate(query({ family: "valuable", at: 999 })).samples).toBe(30);
  });

  test("any numbers at all → a size on the grid or a coded error", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.double(), fc.double(), fc.double(), fc.double()), { maxLength: 30 }),
        (rows) => {
          const sizer = createSizer();
          for (const [inputBytes, peakMib, runtimeSeconds, at] of rows) {
            const code = codeOf(() => {
              sizer.observe(ok({ inputBytes, peakMib, runtimeSeconds, at }));
            });
            expect(["none", "QZ_BRAIN_INPUT_INVALID"]).toContain(code);
          }
          const { memoryMib } = sizer.estimate(query({ at: 1e308, inputBytes: 5 }));
          expect(memoryMib % 16).toBe(0);
          expect(memoryMib).toBeGreaterThanOrEqual(64);
          expect(memoryMib).toBeLessThanOrEqual(131_072);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe("state", () => {
  test("saved, sent as JSON and restored → the same decisions from there on", () => {
    const sizer = createSizer();
    teach(sizer, 300, (i) => 200 + ((i * 31) % 50));
    teach(sizer, 3, () => 900, "few");
    sizer.observe(ok({ at: 1e6 }));
    const restored = restoreSizer(JSON.parse(JSON.stringify(sizer.save())));
    for (const target of [sizer, restored]) teach(target, 40, (i) => 250 + i);
    for (const family of ["mesh.decimate", "few", "new"]) {
      expect(restored.estimate(query({ family, at: 2e6 }))).toEqual(
        sizer.estimate(query({ family, at: 2e6 })),
      );
    }
  });

  test("a decision's evidence, sent as JSON → the same decision bit for bit", () => {
    const sizer = createSizer();
    teach(sizer, 50, (i) => 200 + ((i * 31) % 50));
    for (const family of ["mesh.decimate", "unknown"]) {
      const { evidence, memoryMib } = sizer.estimate(query({ family, at: 99 }));
      expect(decideSize(JSON.parse(JSON.stringify(evidence))).memoryMib).toBe(memoryMib);
    }
  });
});
