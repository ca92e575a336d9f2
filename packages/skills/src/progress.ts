/** How far a skill is, as one of its lines tells. */
export interface Progress {
  /** What part of the work is done, 0 to 1. */
  readonly done: number;
  /** The step it is at, in a word or two. */
  readonly step: string;
  /** What it has to say about it. */
  readonly message: string;
}

/** Why a skill gave up: its input's fault, in words for whoever sent it. */
export interface Refusal {
  readonly error: string;
}

/** A skill's exit status when the task's input is at fault, so that it is not tried again (`EX_DATAERR`). */
export const EXIT_DATA = 65;

/** What a structured line begins with. */
export const PROGRESS_PREFIX = "queztl:";

const LINE_MAX = 4096;
const TEXT_MAX = 500;

/**
 * Reads a line of a skill's standard output. A structured one is `queztl:` and a JSON object with `done`, `step` and
 * `message`, or with `error`. Everything else, whatever a guest may write, is undefined: a line for the log alone.
 */
export function parseProgress(line: string): Progress | Refusal | undefined {
  if (!line.startsWith(PROGRESS_PREFIX) || line.length > LINE_MAX) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(line.slice(PROGRESS_PREFIX.length));
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { done, step, message, error } = value as Record<string, unknown>;
  if (typeof error === "string") return { error: plain(error) };
  if (typeof done !== "number" || !(done >= 0 && done <= 1)) return undefined;
  return { done, step: plain(step), message: plain(message) };
}

// What a guest says goes to terminals: no control characters, bounded.
function plain(value: unknown): string {
  return typeof value === "string" ? value.replaceAll(/\p{Cc}/gu, " ").slice(0, TEXT_MAX) : "";
}
