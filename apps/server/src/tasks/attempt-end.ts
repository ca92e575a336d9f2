import type { Task } from "@queztl/api";
import type { Decision } from "@queztl/brain";
import { isQueztlError } from "@queztl/errors";
import { serverErrors } from "../errors.ts";
import { problemOf } from "../vms/fleet.ts";
import type { RunEnd } from "../vms/vm-host.ts";
import type { TaskRow } from "./task-records.ts";

type Problem = ReturnType<typeof problemOf>;

export type Outcome = NonNullable<Task["attempts"][number]["outcome"]>;

/** How an attempt came to its end. */
export interface AttemptEnd {
  readonly outcome: Outcome;
  readonly run?: RunEnd;
  readonly problem?: Problem;
}

/** Why an attempt is ended from outside. */
export type Stop = "cancelled" | "deadline" | "given-back" | "let-go";

/** What becomes of a task after an attempt. */
export interface NextState {
  readonly state: Task["state"];
  /** The event that tells of it. */
  readonly event: string;
  readonly words: string;
  readonly problem?: Problem;
}

/** Attempts that were lost with their VM or server, not by the task's own fault, before it is given up. */
const MOST_LOST = 20;
/** What a retry cannot change fails the task; what may have been the VM's or host's fault is tried again. */
const FINAL = ["invalid", "not-found", "exhausted", "guest"];

/** How a program's end is to be taken. */
export function outcomeOf(run: RunEnd): Outcome {
  if (run.outOfMemory) return "oom";
  if (run.timedOut) return "timeout";
  return run.exitCode === 0 ? "ok" : "failed";
}

/** The end of an attempt that was ended from outside. */
export function endOfStopped(stop: Stop, { deadline }: TaskRow): AttemptEnd {
  if (stop === "cancelled") return { outcome: "cancelled" };
  if (stop === "given-back" || stop === "let-go") return { outcome: "lost" };
  const passed = serverErrors("QZ_SERVER_TASK_DEADLINE", { deadline: deadline?.toISOString() });
  return { outcome: "timeout", problem: problemOf(passed) };
}

/** The end of an attempt whose own work failed. */
export function endOfFailure(cause: unknown): AttemptEnd {
  const problem = problemOf(cause);
  if (isQueztlError(cause, "QZ_BRAIN_MEMORY_CAP_REACHED")) return { outcome: "oom", problem };
  const final = isQueztlError(cause) && FINAL.includes(cause.status);
  return { outcome: final ? "failed" : "lost", problem };
}

/** What becomes of a task. @param decision what the attempt was given; undefined where it did not come to that. */
export function nextAfter(
  { outcome, run, problem }: AttemptEnd,
  { attempt, attemptsAllowed, attemptsForgiven }: TaskRow,
  decision: Decision | undefined,
): NextState {
  const failed = (why: Problem): NextState => ({
    state: "failed",
    event: "failed",
    words: why.message,
    problem: why,
  });
  switch (outcome) {
    case "ok":
      return { state: "succeeded", event: "succeeded", words: "succeeded" };
    case "cancelled":
      return { state: "cancelled", event: "cancelled", words: "cancelled" };
    case "oom": {
      if (problem !== undefined) return failed(problem);
      const memoryMib = decision?.resources.memoryMib;
      const limit = decision?.evidence.limits.memoryMib ?? Infinity;
      if (attempt - attemptsForgiven < attemptsAllowed && (memoryMib ?? 0) < limit) {
        const words = `out of memory with ${memoryMib} MiB; it is tried again with more`;
        return { state: "queued", event: "out-of-memory", words };
      }
      return failed(problemOf(serverErrors("QZ_SERVER_TASK_OUT_OF_MEMORY", { memoryMib })));
    }
    case "timeout": {
      const seconds = decision?.resources.timeLimitSeconds;
      return failed(problem ?? problemOf(serverErrors("QZ_SERVER_TASK_TIME_LIMIT", { seconds })));
    }
    case "failed": {
      const exitCode = run?.exitCode ?? run?.signal ?? "unknown";
      return failed(problem ?? problemOf(serverErrors("QZ_SERVER_TASK_FAILED", { exitCode })));
    }
    case "lost": {
      if (attemptsForgiven < MOST_LOST) {
        const words = `the VM was lost${problem === undefined ? "" : ` (${problem.message})`}; it is tried again`;
        return { state: "queued", event: "lost", words };
      }
      const lost = {
        attempts: attempt,
        problem: problem?.message ?? "the server was stopped each time",
      };
      return failed(problemOf(serverErrors("QZ_SERVER_TASK_LOST", lost)));
    }
  }
}
