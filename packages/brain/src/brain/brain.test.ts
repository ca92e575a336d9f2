import { isQueztlError } from "@queztl/errors";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { Brain } from "./brain.ts";
import { createBrain, openBrain } from "./create-brain.ts";
import type { Decision } from "./decision.ts";
import type { Outcome } from "./experience.ts";
import type { BrainOptions } from "./options.ts";
import { createMemoryStore } from "./store.ts";
import type { Task } from "./task.ts";

/** A brain on a clock of its own that runs tasks of a simple program. */
class Workshop {
  now = 1000;
  readonly brain: Brain;

  constructor(options: BrainOptions = {}, brain?: Brain) {
    this.brain = brain ?? createBrain({ clock: { now: () => this.now }, ...options });
  }

  decide(task: Partial<Task> = {}): Decision {
    this.now += 10;
    return this.brain.estimate(
      this.brain.analyse({ description: "decimate a mesh", family: "mesh.decimate", ...task }),
    );
  }

  finish(decision: Decision, measured: Partial<Outcome> = {}): void {
    this.now += 60;
    const outcome: Outcome = {
      decisionId: decision.id,
      outcome: "ok",
      peakMib: 300,
      wallSeconds: 60,
      cpuSeconds: 60,
      ...measured,
    };
    this.brain.learn(outcome, decision);
  }

  run(count: number, task: Partial<Task> = {}, measured: Partial<Outcome> = {}): void {
    for (let i = 0; i < count; i += 1) this.finish(this.decide(task), measured);
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

/** Every place of a JSON value, a few of each long list. */
function placesIn(value: unknown): [Record<string, unknown>, string][] {
  if (typeof value !== "object" || value === null) return [];
  const holder = value as Record<string, unknown>;
  return Object.keys(holder)
    .slice(0, 20)
    .flatMap((key) => [[holder, key], ...placesIn(holder[key])] as ReturnType<typeof placesIn>);
}

describe("estimate", () => {
  test("a brain that knows nothing → the user's request, and says so", () => {
    const shop = new Workshop();
    const decision = shop.decide({ request: { memoryMib: 2048, vcpus: 4 } });
    expect(decision.resources).toMatchObject({ memoryMib: 2048, vcpus: 4, gpus: 0, image: "base" });
    expect(decision.reasons.join()).toContain("nothing like it has finished yet");
  });

  test("20 tasks that peaked at 300 MiB → about 300 MiB in the smallest class that holds it", () => {
    const shop = new Workshop({ exploration: { rate: 0, failures: 0 } });
    shop.run(20);
    const { resources, reasons } = shop.decide();
    expect(resources.memoryMib).toBeGreaterThanOrEqual(304);
    expect(resources.memoryMib).toBeLessThan(400);
    expect(reasons[0]).toContain("20 tasks of this family peaked at 300 MiB");
    expect(resources).toMatchObject({ vcpus: 1, sizeClass: "micro" });
  });

  test("a size that its caller knows → that one, whatever numbers the data has; no size → refused", () => {
    const shop = new Workshop();
    const data = { points: 2000, seed: 4_294_967_295 };
    expect(shop.decide({ data }).task.inputBytes).toBe(8 * data.seed);
    expect(shop.decide({ data, inputBytes: 60_000 }).task.inputBytes).toBe(60_000);
    for (const inputBytes of [-1, Number.NaN, Infinity]) {
      expect(codeOf(() => shop.decide({ inputBytes }))).toBe("QZ_BRAIN_INPUT_INVALID");
    }
  });

  test("two sizes an order of magnitude apart, then a third beyond them → sized along their line, and says so", () => {
    const shop = new Workshop({ exploration: { rate: 0, failures: 0 } });
    shop.run(1, { inputBytes: 1e6 }, { peakMib: 40, wallSeconds: 2, cpuSeconds: 2 });
    shop.run(1, { inputBytes: 10e6 }, { peakMib: 130, wallSeconds: 20, cpuSeconds: 20 });
    expect(shop.brain.knowledge()[0]?.growth).toMatchObject({ inputBytes: [1e6, 10e6] });
    expect(shop.decide({ inputBytes: 9e6 }).resources.memoryMib).toBeLessThan(300);
    const decision = shop.decide({ inputBytes: 40e6 });
    // 430 MiB lie on the line, and 15 % above it.
    expect(decision.resources.memoryMib).toBeGreaterThan(430);
    expect(decision.resources.memoryMib).toBeLessThan(530);
    expect(decision.expected.memoryMib[1]).toBeGreaterThan(430);
    expect(decision.expected.seconds?.[1]).toBeGreaterThan(40);
    expect(decision.reasons).toContain(
      "its input is far larger than any seen; memory has grown along a line with the input so far",
    );
    expect(shop.brain.replay(decision).identical).toBe(true);
    shop.finish(decision, { peakMib: 420, wallSeconds: 80, cpuSeconds: 80 });
    expect(shop.decide({ inputBytes: 40e6 }).resources.memoryMib).toBeGreaterThan(420);
  });

  test("limits below the estimate → the limits, whatever is known", () => {
    const shop = new Workshop();
    shop.run(10, {}, { peakMib: 4000, cpuSeconds: 118 });
    const limits = { memoryMib: 1000, vcpus: 1, gpus: 0, diskMib: 100, timeSeconds: 5 };
    const { resources } = shop.decide({ limits, request: { gpus: 2 } });
    expect(resources).toMatchObject({
      memoryMib: 1000,
      vcpus: 1,
      gpus: 0,
      diskMib: 100,
      timeLimitSeconds: 5,
    });
  });

  test("runs that keep all cores busy → more vCPUs; runs that keep one busy → one", () => {
    const parallel = new Workshop({ exploration: { rate: 0, failures: 0 } });
    const serial = new Workshop({ exploration: { rate: 0, failures: 0 } });
    parallel.run(10, { request: { vcpus: 4 } }, { wallSeconds: 60, cpuSeconds: 4 * 59 });
    serial.run(10, { request: { vcpus: 4 } }, { wallSeconds: 60, cpuSeconds: 60 });
    expect(parallel.decide().resources.vcpus).toBeGreaterThanOrEqual(8);
    expect(serial.decide().resources.vcpus).toBe(1);
  });

  test("GPUs that stay idle → none; busy ones → kept", () => {
    const idle = new Workshop();
    idle.run(5, { request: { gpus: 2 } }, { gpuSeconds: 0 });
    expect(idle.decide({ request: { gpus: 2 } }).resources.gpus).toBe(0);
    const busy = new Workshop();
    busy.run(5, { request: { gpus: 2 } }, { gpuSeconds: 100 });
    expect(busy.decide({ request: { gpus: 2 } }).resources.gpus).toBe(2);
  });

  test("a time limit → at least five times the longest run", () => {
    const shop = new Workshop();
    shop.run(5, {}, { wallSeconds: 400, cpuSeconds: 400 });
    expect(shop.decide().resources.timeLimitSeconds).toBeGreaterThanOrEqual(2000);
  });

  test("disk that was measured → sized from it", () => {
    const shop = new Workshop();
    shop.run(10, {}, { diskPeakMib: 900 });
    const { diskMib } = shop.decide().resources;
    expect(diskMib).toBeGreaterThanOrEqual(1024);
    expect(diskMib).toBeLessThan(2048);
  });

  test("a new family with the description of a known one → recalled, and sized like it", () => {
    const shop = new Workshop();
    const description = "simplify a triangle mesh of a scanned quarry to fewer faces";
    shop.run(10, { description, family: "mesh.decimate" });
    shop.run(10, { description: "add two numbers", family: "sum" }, { peakMib: 64 });
    const decision = shop.decide({ description, family: "qem9" });
    expect(decision.recalled[0]?.family).toBe("mesh.decimate");
    expect(decision.resources.memoryMib).toBeGreaterThanOrEqual(300);
    expect(decision.resources.memoryMib).toBeLessThan(1024);
  });
});

describe("learn", () => {
  test("a user's correction of the domain → the same words are understood so from then on", () => {
    const shop = new Workshop();
    const task = { description: "weigh the llamas before shearing" };
    const analysis = shop.brain.analyse(task);
    shop.brain.correct(analysis, "husbandry");
    expect(shop.brain.analyse(task).domain).toBe("husbandry");
    const other = new Workshop();
    other.brain.import(shop.brain.export());
    expect(other.brain.analyse(task).domain).toBe("husbandry");
  });

  test("an OOM → the retry gets more, up to the user's limit", () => {
    const shop = new Workshop();
    shop.run(10);
    const first = shop.decide({ limits: { memoryMib: 700 } });
    const given = first.resources.memoryMib;
    shop.finish(first, { outcome: "oom", peakMib: given });
    let next = shop.brain.retry(first);
    expect(next.attempt).toBe(2);
    expect(next.resources.memoryMib).toBeGreaterThan(given);
    while (next.resources.memoryMib < 700) next = shop.brain.retry(next);
    expect(codeOf(() => shop.brain.retry(next))).toBe("QZ_BRAIN_MEMORY_CAP_REACHED");
  });

  test("cancelled and timed-out attempts → lower bounds, not sizes", () => {
    const shop = new Workshop();
    shop.run(20, {}, { peakMib: 500, wallSeconds: 600, cpuSeconds: 600 });
    const before = shop.decide().resources;
    // Cut off early, they had used little: that says nothing of what a whole run needs.
    shop.run(20, {}, { outcome: "cancelled", peakMib: 20, wallSeconds: 1, cpuSeconds: 1 });
    shop.run(5, {}, { outcome: "timeout", peakMib: 20, wallSeconds: 5, cpuSeconds: 5 });
    const after = shop.decide().resources;
    expect(after.memoryMib).toBeGreaterThanOrEqual(500);
    expect(after.timeLimitSeconds).toBeGreaterThanOrEqual(before.timeLimitSeconds * 0.99);
  });

  test("timeouts at a limit that was too short → the next limit is longer", () => {
    const shop = new Workshop();
    shop.run(5, {}, { wallSeconds: 100, cpuSeconds: 100 });
    const before = shop.decide().resources.timeLimitSeconds;
    shop.run(3, {}, { outcome: "timeout", wallSeconds: before, cpuSeconds: before });
    expect(shop.decide().resources.timeLimitSeconds).toBeGreaterThan(before * 2);
  });

  test("a program that fills whatever it gets → probed downwards, with the odds written down", () => {
    const shop = new Workshop({ exploration: { rate: 0.3, failures: 0.1 } });
    let probes = 0;
    const sizes: number[] = [];
    for (let i = 0; i < 120; i += 1) {
      const decision = shop.decide();
      const { arms } = decision.evidence.memoryExploration;
      expect(arms.reduce((sum, arm) => sum + arm.propensity, 0)).toBeCloseTo(1);
      if (arms.length > 1) probes += 1;
      sizes.push(decision.resources.memoryMib);
      shop.finish(decision, { peakMib: decision.resources.memoryMib });
    }
    expect(probes).toBeGreaterThan(10);
    expect(sizes.at(-1)).toBeLessThan((sizes[5] as number) * 0.8);
  });

  test("trials that fail → trying stops within the failure budget", () => {
    const shop = new Workshop({ exploration: { rate: 0.5, failures: 0.03 } });
    let failures = 0;
    for (let i = 0; i < 300; i += 1) {
      const decision = shop.decide();
      const { vcpuExploration: trial, defaultVcpus } = decision.evidence;
      const tried = trial.arms.length > 1 && decision.resources.vcpus !== defaultVcpus;
      if (tried) failures += 1;
      shop.finish(decision, tried ? { outcome: "timeout" } : { cpuSeconds: undefined as never });
    }
    expect(failures).toBeGreaterThan(0);
    expect(failures).toBeLessThanOrEqual(3);
  });

  test("an outcome of a decision nobody remembers → a coded error; with the decision → learned", () => {
    const shop = new Workshop();
    const decision = shop.decide();
    const other = new Workshop();
    const outcome: Outcome = {
      decisionId: decision.id,
      outcome: "ok",
      peakMib: 100,
      wallSeconds: 10,
    };
    expect(codeOf(() => other.brain.learn(outcome))).toBe("QZ_BRAIN_DECISION_UNKNOWN");
    other.brain.learn(outcome, decision);
    expect(other.brain.status().finished).toBe(1);
  });

  test("more experiences than are kept → the largest peak and the rare family stay", () => {
    const shop = new Workshop({ capacity: 50 });
    shop.run(1, { family: "rare" });
    shop.run(1, {}, { peakMib: 3000 });
    shop.run(100);
    const kept = shop.brain.export().experiences;
    expect(kept).toHaveLength(50);
    expect(kept.some(({ family }) => family === "rare")).toBe(true);
    expect(kept.some(({ peakMib }) => peakMib === 3000)).toBe(true);
  });
});

describe("explain and replay", () => {
  test("a decision, stored as JSON → explained in words and repeated bit for bit", async () => {
    const store = createMemoryStore();
    const shop = new Workshop({ store });
    shop.run(15);
    const decision = shop.decide();
    await shop.brain.flush();
    const stored = JSON.parse(JSON.stringify(await store.getDecision(decision.id))) as Decision;
    shop.run(15, {}, { peakMib: 900 });
    expect(shop.brain.replay(stored)).toEqual({ resources: decision.resources, identical: true });
    const text = shop.brain.explain(stored);
    expect(text).toContain("15 tasks of this family peaked at 300 MiB");
    expect(text).toContain(decision.id);
    const forged = { ...stored, resources: { ...stored.resources, memoryMib: 1 } };
    expect(shop.brain.replay(forged).identical).toBe(false);
  });

  test("the same tasks and seed twice → the same decisions", () => {
    const [a, b] = [new Workshop({ seed: 9 }), new Workshop({ seed: 9 })];
    for (const shop of [a, b]) shop.run(60, {}, { cpuSeconds: 100 });
    expect(b.decide()).toEqual(a.decide());
  });
});

describe("state", () => {
  test("flushed to a store and opened again → goes on with the same sizes", async () => {
    const store = createMemoryStore();
    const shop = new Workshop({ store });
    shop.run(30, {}, { peakMib: 333 });
    await shop.brain.flush();
    shop.run(3, {}, { peakMib: 444 });
    await shop.brain.flush();
    const clock = { now: () => shop.now };
    const opened = new Workshop({}, await openBrain({ store, clock }));
    opened.now = shop.now;
    expect(opened.decide().resources).toEqual(shop.decide().resources);
    expect(opened.brain.status().finished).toBe(33);
  });

  test("a crash before the models were saved → rebuilt from the experiences", async () => {
    const store = createMemoryStore();
    const shop = new Workshop({ store });
    shop.run(30, {}, { peakMib: 333 });
    await new Promise((resolve) => setTimeout(resolve, 0));
    const opened = await openBrain({ store, clock: { now: () => shop.now } });
    expect(opened.knowledge()[0]).toMatchObject({ samples: 30, peakMib: [333, 333] });
  });

  test("a bare sizer's state (version 1) → imported; a later version or nonsense → coded errors", () => {
    const shop = new Workshop();
    shop.run(10);
    const { memory } = shop.brain.export().state;
    const other = new Workshop();
    other.brain.import(JSON.parse(JSON.stringify(memory)));
    expect(other.brain.knowledge()[0]?.samples).toBe(10);
    const tooNew = { ...shop.brain.export(), state: { version: 99 } };
    expect(codeOf(() => other.brain.import(tooNew))).toBe("QZ_BRAIN_STATE_TOO_NEW");
    for (const nonsense of [null, 7, "x", {}, { version: 2 }, { version: -1 }]) {
      expect(codeOf(() => other.brain.import(nonsense))).toBe("QZ_BRAIN_STATE_INVALID");
    }
    expect(other.brain.knowledge()[0]?.samples).toBe(10);
  });

  test("two brains that merge each other → know the same, and what both had", () => {
    const a = new Workshop({ name: "a" });
    const b = new Workshop({ name: "b" });
    a.run(12, {}, { peakMib: 300 });
    b.run(8, {}, { peakMib: 500 });
    b.run(5, { family: "other" });
    const [fromA, fromB] = [a.brain.export(), b.brain.export()];
    a.brain.merge(JSON.parse(JSON.stringify(fromB)));
    b.brain.merge(JSON.parse(JSON.stringify(fromA)));
    expect(a.brain.knowledge()).toEqual(b.brain.knowledge());
    expect(a.brain.knowledge()[0]).toMatchObject({ samples: 20, peakMib: [300, 500] });
    a.brain.merge(fromB);
    expect(a.brain.status().experiences).toBe(25);
  });

  test("an export with anything broken in it → read, or a coded error and nothing changed", () => {
    const shop = new Workshop();
    shop.run(12, {}, { diskPeakMib: 300 });
    shop.run(3, { family: "other" }, { outcome: "oom", peakMib: 4096 });
    const text = JSON.stringify(shop.brain.export());
    const hostile = [null, -1, 1e308, "x", [], {}, [[]], { __proto__: null }, true];
    fc.assert(
      fc.property(fc.nat(), fc.constantFrom(...hostile), (at, value) => {
        const broken = JSON.parse(text) as unknown;
        const places = placesIn(broken);
        const [holder, key] = places[at % places.length] as [Record<string, unknown>, string];
        holder[key] = value;
        const other = new Workshop();
        other.run(2);
        const code = codeOf(() => other.brain.import(broken));
        expect(code).toMatch(/^none$|^QZ_BRAIN_/);
        if (code !== "none") expect(other.brain.knowledge()[0]?.samples).toBe(2);
        const { memoryMib } = other.decide().resources;
        expect(memoryMib).toBeGreaterThanOrEqual(64);
        expect(memoryMib).toBeLessThanOrEqual(131_072);
      }),
      { numRuns: 60 },
    );
  });

  test("domains taught to one brain → known to the one that merges it", () => {
    const a = new Workshop({ name: "a" });
    const b = new Workshop({ name: "b" });
    const task = { description: "weigh the llamas before shearing" };
    b.brain.correct(b.brain.analyse(task), "husbandry");
    a.brain.merge(b.brain.export());
    expect(a.brain.analyse(task).domain).toBe("husbandry");
  });

  test("a store that fails → the calls go on, flush throws", async () => {
    const store = {
      ...createMemoryStore(),
      putExperience: () => Promise.reject(new Error("full")),
    };
    const shop = new Workshop({ store });
    shop.run(3);
    await expect(shop.brain.flush()).rejects.toThrow("full");
    await expect(shop.brain.flush()).resolves.toBeUndefined();
  });
});

describe("status and optimize", () => {
  test("tasks of 300 MiB asked for with 8 GiB → less wasted than the request and VPA would", () => {
    const shop = new Workshop();
    shop.run(50, { request: { memoryMib: 8192 } });
    const { wasteGibHours, coverage, experiences } = shop.brain.status();
    expect(experiences).toBe(50);
    expect(wasteGibHours.brain).toBeLessThan(wasteGibHours.request);
    expect(wasteGibHours.brain).toBeLessThanOrEqual(wasteGibHours.vpa);
    expect(coverage).toBeGreaterThan(0.8);
  });

  test("a daily rhythm of tasks → a warm pool for the busy hour, scored when it has passed", () => {
    const shop = new Workshop();
    shop.now = 0;
    for (let hour = 0; hour < 24 * 5 - 15; hour += 1) {
      const busy = hour % 24 === 9;
      for (let i = 0; i < (busy ? 30 : 0); i += 1) {
        shop.now = hour * 3600 + i * 110;
        const decision = shop.decide();
        shop.finish(decision);
      }
    }
    // 8 o'clock of the fifth day: the next hour is the busy one.
    shop.now = (24 * 4 + 8) * 3600 + 60;
    const costs = { coldStartSeconds: 30, waitingWorth: 30, idleSeconds: 60, idleShare: 0.3 };
    const costly = createBrain({ clock: { now: () => shop.now }, costs });
    costly.import(shop.brain.export());
    const { recommendations } = costly.optimize();
    const pool = recommendations.find(({ kind }) => kind === "warm-pool");
    expect(pool).toBeDefined();
    expect(pool?.expectedGain).toBeGreaterThan(0);
    shop.now += 2 * 3600;
    expect(costly.optimize().scored.map(({ id }) => id)).toContain(pool?.id);
  });
});

test("tasks that fit no class well → better sizes advised, and scored after a day", () => {
  const shop = new Workshop({ exploration: { rate: 0, failures: 0 } });
  shop.run(60, {}, { peakMib: 1100, wallSeconds: 600, cpuSeconds: 600 });
  const advice = shop.brain.optimize().recommendations.find(({ kind }) => kind === "size-classes");
  expect(advice?.expectedGain).toBeGreaterThan(0);
  shop.now = (advice?.from ?? 0) + 60;
  shop.run(20, {}, { peakMib: 1100, wallSeconds: 600, cpuSeconds: 600 });
  shop.now = (advice?.until ?? 0) + 60;
  const scored = shop.brain.optimize().scored.find(({ id }) => id === advice?.id);
  expect(scored?.realisedGain).toBeGreaterThan(0);
});

describe("hostile input", () => {
  test("a description of 1 MB → decided like any other", () => {
    const shop = new Workshop();
    const long = "mine blast ".repeat(96_000);
    expect(long.length).toBeGreaterThan(1 << 20);
    expect(shop.decide({ description: long }).resources.memoryMib).toBe(4096);
  });

  test.each([
    { description: 7 },
    { files: [{ name: "a", bytes: -1 }] },
    { files: [{ name: "a", bytes: Number.NaN }] },
    { family: "" },
    { limits: { memoryMib: 0 } },
    { limits: { vcpus: 1.5 } },
    { request: { memoryMib: Infinity } },
  ])("%j → a coded error", (task) => {
    const shop = new Workshop();
    expect(codeOf(() => shop.decide(task as unknown as Partial<Task>))).toMatch(/^QZ_BRAIN_/);
  });

  test.each([
    { policy: Number.NaN },
    { mostVcpus: 0 },
    { capacity: 1.5 },
    { name: "" },
    { exploration: { rate: 2, failures: 0 } },
  ])("the options %j → a coded error", (options) => {
    expect(codeOf(() => createBrain(options))).toBe("QZ_BRAIN_INPUT_INVALID");
  });

  test.each([
    { peakMib: Number.NaN },
    { peakMib: -1 },
    { wallSeconds: -1 },
    { wallSeconds: Infinity },
    { cpuSeconds: -1 },
    { outcome: "great" },
    { at: Number.NaN },
  ])("the outcome %j → a coded error, and the decision can still be learned", (measured) => {
    const shop = new Workshop();
    const decision = shop.decide();
    const hostile = measured as unknown as Partial<Outcome>;
    expect(codeOf(() => shop.finish(decision, hostile))).toBe("QZ_BRAIN_INPUT_INVALID");
    shop.finish(decision);
    expect(shop.brain.status().finished).toBe(1);
  });

  test("families and features named like object members → nothing leaks or breaks", () => {
    const shop = new Workshop();
    for (const family of ["__proto__", "constructor", "hasOwnProperty"]) {
      const data = JSON.parse('{"__proto__": {"polluted": 1}, "constructor": 2}') as unknown;
      shop.run(3, { family, data });
    }
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
    expect(shop.brain.knowledge()).toHaveLength(3);
  });
});
