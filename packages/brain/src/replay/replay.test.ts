import { describe, expect, test } from "vitest";

import type { MemoryPolicy, SizeObservation } from "../sizer/memory-policy.ts";
import { createPolicy, policyNames } from "./policies.ts";
import { replay } from "./replay.ts";
import { syntheticTrace } from "./testing/synthetic-trace.ts";
import type { TraceTask } from "./trace.ts";

const task = (over: Partial<TraceTask>): TraceTask => ({
  trace: "t",
  family: "f",
  inputBytes: 1,
  peakMib: 1024,
  runtimeSeconds: 3600,
  requestMib: undefined,
  startSeconds: 0,
  endSeconds: 3600,
  ...over,
});

/** Gives what it is told and writes down what it hears. */
function scripted(first: number, log: string[] = []): MemoryPolicy {
  return {
    estimate: ({ at }) => {
      log.push(`estimate@${at}`);
      return { memoryMib: first };
    },
    retry: ({ at, failedMib, attempt }) => {
      log.push(`retry${attempt}@${at}`);
      return { memoryMib: failedMib * 2 };
    },
    observe: ({ at, outcome, peakMib }: SizeObservation) => {
      log.push(`${outcome} ${peakMib}@${at}`);
    },
  };
}

describe("replay", () => {
  test("a task given 2 GiB of which it uses 1 for an hour → 1 GiB·h wasted", () => {
    const result = replay([task({})], scripted(2048));
    expect(result).toMatchObject({ tasks: 1, wasteGibHours: 1, tasksWithOom: 0, lostHours: 0 });
  });

  test("an attempt with half of the need → its whole GiB·h and the retry's unused part are wasted", () => {
    // 0.5 GiB for 1 h lost, then 1 GiB fits exactly; with ttf 0.5 half of the first is lost.
    expect(replay([task({})], scripted(512))).toMatchObject({
      wasteGibHours: 0.5,
      tasksWithOom: 1,
      lostHours: 1,
    });
    expect(replay([task({})], scripted(512), { timeToFailure: 0.5 })).toMatchObject({
      wasteGibHours: 0.25,
      lostHours: 0.5,
    });
  });

  test("delayed feedback → an OOM is heard when it happens, a peak when the task has ended", () => {
    const log: string[] = [];
    const later = task({ startSeconds: 5000, endSeconds: 8600, peakMib: 100 });
    replay([task({}), later], scripted(512, log));
    expect(log).toEqual([
      "estimate@0",
      "oom 512@3600",
      "retry1@3600",
      "estimate@5000",
      "ok 1024@7200",
      "ok 100@8600",
    ]);
  });

  test("immediate feedback → everything is heard before the next task starts", () => {
    const log: string[] = [];
    replay([task({}), task({ startSeconds: 1 })], scripted(1024, log), { feedback: "immediate" });
    expect(log).toEqual(["estimate@0", "ok 1024@0", "estimate@1", "ok 1024@1"]);
  });

  test("sizes off the grid → rounded up to 16 MiB, from 64 MiB", () => {
    const sizes = [1, 65, 80].map(
      (mib) => replay([task({ peakMib: 1 })], scripted(mib)).decisions[0]?.memoryMib,
    );
    expect(sizes).toEqual([64, 80, 80]);
  });

  test("a need above the cap → the task is given up instead of tried for ever", () => {
    for (const policy of policyNames) {
      const result = replay([task({ peakMib: 200_000 })], createPolicy(policy));
      expect(result.tasksWithOom).toBe(1);
      expect(result.decisions.at(-1)?.memoryMib).toBe(131_072);
    }
  });

  test("only the first tasks of a family counted → the others still run", () => {
    const result = replay([task({}), task({}), task({ family: "g" })], scripted(2048), {
      firstOfFamily: 1,
    });
    expect(result).toMatchObject({ tasks: 2, wasteGibHours: 2 });
    expect(result.decisions).toHaveLength(3);
  });

  test("the same trace twice → the same decisions, for every policy", () => {
    const tasks = syntheticTrace(150, 11);
    for (const policy of policyNames) {
      expect(replay(tasks, createPolicy(policy))).toEqual(replay(tasks, createPolicy(policy)));
    }
  });

  test("a trace with structure → the brain wastes less than every baseline", () => {
    const tasks = syntheticTrace(600, 5);
    const brain = replay(tasks, createPolicy("brain")).wasteGibHours;
    for (const baseline of ["request", "vpa", "vpa-p99", "witt", "tovar"]) {
      expect(brain).toBeLessThan(replay(tasks, createPolicy(baseline)).wasteGibHours);
    }
  });
});
