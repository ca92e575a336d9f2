import type { Task } from "@queztl/api";
import type { RunEnd } from "../vms/vm-host.ts";

export type Outcome = NonNullable<Task["attempts"][number]["outcome"]>;

/** How an attempt came to its end. */
export interface AttemptEnd {
  readonly outcome: Outcome;
  readonly run?: RunEnd;
  readonly problem?: { readonly code: string; readonly message: string };
}

/** How a program's end is to be taken. */
export function outcomeOf(run: RunEnd): Outcome {
  if (run.outOfMemory) return "oom";
  if (run.timedOut) return "timeout";
  return run.exitCode === 0 ? "ok" : "failed";
}
