import type { QueztlClient } from "@queztl/api/client";
import { isQueztlError, type QueztlError } from "@queztl/errors";
import { qctlErrors } from "../errors.ts";
import type { Task } from "../resources.ts";
import { waitFor } from "../session/wait.ts";
import { paintState } from "../view/paint.ts";
import { printableLine } from "../view/printable.ts";
import { cut } from "../view/table.ts";
import { type Attempt, progressText, stepText } from "../view/task.ts";
import { duration } from "../view/units.ts";
import type { Page } from "../view/view.ts";

/** A task that is waited for. */
export interface WaitTaskOptions {
  readonly client: QueztlClient;
  readonly task: string;
  readonly signal: AbortSignal;
  readonly timeoutSeconds?: number | undefined;
  /** Told of every look at it. */
  readonly onLook: (task: Task) => void;
  readonly onLost: (failure: QueztlError | undefined) => void;
}

/** Waits until a task is over, whatever becomes of the connection. Gives it, also where it failed. */
export async function waitTask(options: WaitTaskOptions): Promise<Task> {
  const { client, task, signal, timeoutSeconds, onLook, onLost } = options;
  try {
    return await waitFor({
      read: (ended) => client.task.get.query({ task }, { signal: ended }),
      done: isOver,
      onChange: onLook,
      onLost,
      signal,
      timeoutSeconds,
      what: task,
    });
  } catch (failure) {
    if (!isQueztlError(failure, "QZ_QCTL_INTERRUPTED")) throw failure;
    const after = `; ${task} goes on: \`qctl task wait ${task}\` waits again, \`qctl task cancel ${task}\` stops it`;
    throw qctlErrors("QZ_QCTL_INTERRUPTED", { after });
  }
}

/** Whether nothing more will become of a task. */
export const isOver = ({ state }: Pick<Task, "state">): boolean =>
  state === "succeeded" || state === "failed" || state === "cancelled";

/** The error for a task that did not succeed. */
export function taskFailed({ id, state, problem }: Task): QueztlError {
  const why = problem === null ? "" : `: ${printableLine(problem.message)}`;
  return qctlErrors("QZ_QCTL_TASK_FAILED", { task: id, state, problem: why });
}

/** A task in progress as a few lines: what it does, and the steps of its attempt. */
export function progressLines(task: Task | undefined, spinner: string, page: Page): string {
  const { paint, now } = page;
  if (task === undefined) return `${spinner} submitting`;
  const attempt = task.attempts.at(-1);
  const since = Date.parse(task.startedAt ?? task.createdAt);
  const until = task.endedAt === null ? now.getTime() : Date.parse(task.endedAt);
  const time = duration(Math.max(0, Math.floor((until - since) / 1000)));
  const which = (attempt?.number ?? 1) > 1 ? `, attempt ${attempt?.number}` : "";
  const head = `${spinner} ${task.id} ${paintState(paint, task.state)}${which} ${paint("dim", time)}`;
  const steps = (attempt?.steps ?? []).map((step) => `  ${stepText(step, paint)}`);
  const progress = progressText(task);
  const lines = [head, ...steps, ...(progress === undefined ? [] : [`    ${progress}`])];
  // A step stays a line, however narrow the terminal.
  return lines.map((line) => cut(line, page.width)).join("\n");
}

/** What is new in a task since the last look, a line each: for where nothing can be drawn. */
export function newsOf(before: Task | undefined, task: Task): string[] {
  const lines: string[] = [];
  const last = task.attempts.at(-1);
  const known = before?.attempts.find(({ number }) => number === last?.number);
  if (last !== undefined && known === undefined && last.number > 1) {
    lines.push(`${task.id}: attempt ${last.number}`);
  }
  for (const step of last?.steps ?? []) {
    // Of steps that take long it is told when they begin.
    const isSlow = step.state === "running" && (step.step === "vm" || step.step === "run");
    if (step.state !== "done" && step.state !== "failed" && !isSlow) continue;
    if (stateOf(known, step.step) === step.state) continue;
    const took = step.milliseconds === null ? "" : ` in ${duration(step.milliseconds / 1000)}`;
    lines.push(`${task.id}: ${step.step} ${isSlow ? "begins" : step.state}${took}`);
  }
  if (task.progress !== null && before?.progress?.step !== task.progress.step) {
    lines.push(`${task.id}: ${progressText(task)}`);
  }
  if (before?.state !== task.state) lines.push(`${task.id}: ${task.state}`);
  return lines;
}

const stateOf = (attempt: Attempt | undefined, step: Attempt["steps"][number]["step"]) =>
  attempt?.steps.find((each) => each.step === step)?.state;
