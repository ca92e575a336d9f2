import { isQueztlError } from "@queztl/errors";

import { onGrid } from "../sizer/allocation.ts";
import type { MemoryPolicy, SizeObservation, SizeQuery } from "../sizer/memory-policy.ts";
import { EventQueue } from "./event-queue.ts";
import type { TraceTask } from "./trace.ts";

/** How a trace is replayed. */
export interface ReplayOptions {
  /** The part of its run after which an under-sized attempt dies: above 0, at most 1 (the default). */
  readonly timeToFailure?: number;
  /**
   * `delayed` (the default): a result is known when its task has ended, with its failed attempts.
   * `immediate`: it is known at the task's start, as in most papers; it flatters every policy.
   */
  readonly feedback?: "delayed" | "immediate";
  /** Count only the first so many tasks of each family, though all are run. */
  readonly firstOfFamily?: number;
}

/** One allocation, in the order in which they were made. */
export interface ReplayDecision {
  /** The task's place in the trace. */
  readonly index: number;
  /** From 1. */
  readonly attempt: number;
  readonly at: number;
  readonly memoryMib: number;
}

/** What a policy did on one trace. */
export interface ReplayResult {
  readonly tasks: number;
  /** Unused GiB·h of good attempts and all GiB·h of failed ones. */
  readonly wasteGibHours: number;
  readonly tasksWithOom: number;
  /** Hours of failed attempts. */
  readonly lostHours: number;
  readonly decisions: readonly ReplayDecision[];
}

/**
 * Runs a trace's tasks (in order of start) against a policy, telling it only what was known at each
 * moment: an OOM when it happens, a peak when its task has ended. Allocations are rounded up to the
 * grid; an attempt with less than the task's peak dies and is retried with what `retry` says. A task
 * that fails with the cap is given up.
 */
export function replay(
  tasks: readonly TraceTask[],
  policy: MemoryPolicy,
  options: ReplayOptions = {},
): ReplayResult {
  const { timeToFailure = 1, feedback = "delayed", firstOfFamily = Infinity } = options;
  const decisions: ReplayDecision[] = [];
  const started = new Map<string, number>();
  const events = new EventQueue();
  let counted = 0;
  let wasteMibSeconds = 0;
  let lostSeconds = 0;
  let tasksWithOom = 0;

  const attempt = (
    index: number,
    number: number,
    at: number,
    memoryMib: number,
    counts: boolean,
  ) => {
    const task = tasks[index] as TraceTask;
    decisions.push({ index, attempt: number, at, memoryMib });
    const delayed = feedback === "delayed" ? 1 : 0;
    if (memoryMib >= task.peakMib) {
      if (counts) wasteMibSeconds += (memoryMib - task.peakMib) * task.runtimeSeconds;
      const end = at + (task.endSeconds - task.startSeconds) * delayed;
      events.push(end, () =>
        policy.observe(observationOf(task, memoryMib, task.runtimeSeconds, "ok", end)),
      );
      return;
    }
    const spent = task.runtimeSeconds * timeToFailure;
    if (counts) {
      wasteMibSeconds += memoryMib * spent;
      lostSeconds += spent;
      if (number === 1) tasksWithOom += 1;
    }
    const end = at + spent * delayed;
    events.push(end, () => {
      policy.observe(observationOf(task, memoryMib, spent, "oom", end));
      const failed = { ...queryOf(task, end), attempt: number, failedMib: memoryMib };
      const next = capReached(() => onGrid(policy.retry(failed).memoryMib));
      // A policy that does not grow would be asked for ever.
      if (next !== undefined && next > memoryMib) attempt(index, number + 1, end, next, counts);
    });
  };

  for (const [index, task] of tasks.entries()) {
    events.runUntil(task.startSeconds);
    const seen = (started.get(task.family) ?? 0) + 1;
    started.set(task.family, seen);
    const counts = seen <= firstOfFamily;
    if (counts) counted += 1;
    const { memoryMib } = policy.estimate(queryOf(task, task.startSeconds));
    attempt(index, 1, task.startSeconds, onGrid(memoryMib), counts);
    if (feedback === "immediate") events.runUntil(task.startSeconds);
  }
  events.runUntil(Infinity);
  return {
    tasks: counted,
    wasteGibHours: wasteMibSeconds / 1024 / 3600,
    tasksWithOom,
    lostHours: lostSeconds / 3600,
    decisions,
  };
}

const queryOf = ({ family, inputBytes, requestMib }: TraceTask, at: number): SizeQuery => ({
  family,
  inputBytes,
  requestMib,
  at,
});

const observationOf = (
  task: TraceTask,
  allocatedMib: number,
  runtimeSeconds: number,
  outcome: SizeObservation["outcome"],
  at: number,
): SizeObservation => ({
  ...queryOf(task, at),
  allocatedMib,
  // Of a task that died nobody knows more than that it used all it had.
  peakMib: outcome === "ok" ? task.peakMib : allocatedMib,
  runtimeSeconds,
  outcome,
});

function capReached<T>(retry: () => T): T | undefined {
  try {
    return retry();
  } catch (error) {
    if (isQueztlError(error, "QZ_BRAIN_MEMORY_CAP_REACHED")) return undefined;
    throw error;
  }
}
