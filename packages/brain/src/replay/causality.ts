import type { MemoryPolicy } from "../sizer/memory-policy.ts";
import { type ReplayOptions, replay } from "./replay.ts";
import type { TraceTask } from "./trace.ts";

/** A decision that changed though only the future was changed. */
export interface CausalityBreach {
  readonly index: number;
  readonly attempt: number;
  readonly at: number;
  readonly memoryMib: number;
  readonly withOtherFuture: number | undefined;
}

/**
 * Replays a trace twice, the second time with another future after `cut`: later tasks have their needs
 * shuffled among them, and tasks still running get another peak and end. Returns the first decision
 * made up to `cut` that differs, undefined where there is none, as it must be.
 */
export function findCausalityBreach(
  tasks: readonly TraceTask[],
  makePolicy: () => MemoryPolicy,
  cut: number,
  random: () => number,
  options: ReplayOptions = {},
): CausalityBreach | undefined {
  const original = replay(tasks, makePolicy(), options).decisions;
  const changed = withOtherFuture(tasks, original, cut, random, options.timeToFailure ?? 1);
  const repeated = replay(changed, makePolicy(), options).decisions.filter(({ at }) => at <= cut);
  let i = 0;
  for (const decision of original) {
    if (decision.at > cut) continue;
    const other = repeated[i];
    i += 1;
    if (
      other === undefined ||
      other.index !== decision.index ||
      other.attempt !== decision.attempt ||
      other.memoryMib !== decision.memoryMib
    ) {
      return { ...decision, withOtherFuture: other?.memoryMib };
    }
  }
  return undefined;
}

function withOtherFuture(
  tasks: readonly TraceTask[],
  decisions: ReturnType<typeof replay>["decisions"],
  cut: number,
  random: () => number,
  timeToFailure: number,
): TraceTask[] {
  const changed = [...tasks];
  const later = tasks.flatMap((task, index) => (task.startSeconds > cut ? [index] : []));
  const donors = shuffled(later, random);
  for (const [i, index] of later.entries()) {
    const { startSeconds } = tasks[index] as TraceTask;
    const donor = tasks[donors[i] as number] as TraceTask;
    const endSeconds = startSeconds + (donor.endSeconds - donor.startSeconds);
    changed[index] = {
      ...donor,
      startSeconds,
      endSeconds,
      peakMib: donor.peakMib * (0.5 + random()),
    };
  }
  // The last attempt of each task that had begun by the cut, and the most that had failed before it.
  const lastKnown = new Map<number, { at: number; memoryMib: number; failedMib: number }>();
  for (const { index, at, memoryMib } of decisions) {
    if (at > cut) continue;
    const failedMib = lastKnown.get(index)?.memoryMib ?? 0;
    lastKnown.set(index, { at, memoryMib, failedMib });
  }
  for (const [index, { at, memoryMib, failedMib }] of lastKnown) {
    const task = tasks[index] as TraceTask;
    const wall = task.endSeconds - task.startSeconds;
    const holds = memoryMib >= task.peakMib;
    const endsAt = at + (holds ? wall : task.runtimeSeconds * timeToFailure);
    if (endsAt <= cut) continue;
    // Any need above what has failed by then is consistent with what was known at the cut.
    const peakMib = failedMib + (memoryMib - failedMib) * (0.05 + 0.95 * random());
    const longer = Math.max(wall, cut - at + 1) * (1 + random());
    changed[index] = { ...task, peakMib, endSeconds: task.startSeconds + longer };
  }
  return changed;
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const copy = [...items];
  for (let i = copy.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    [copy[i], copy[j]] = [copy[j] as T, copy[i] as T];
  }
  return copy;
}
