import { isQueztlError, type QueztlError } from "@queztl/errors";
import { qctlErrors } from "../errors.ts";

/** What is waited for, and how. */
export interface WaitOptions<Thing> {
  /** Looks at it; called again and again. */
  readonly read: (signal: AbortSignal) => Promise<Thing>;
  /** Whether the wait is over. */
  readonly done: (thing: Thing) => boolean;
  /** Told of every look. */
  readonly onChange?: (thing: Thing) => void;
  /** Told when the server is lost, and with undefined when it is back. */
  readonly onLost?: (failure: QueztlError | undefined) => void;
  /** Ends the wait with `QZ_QCTL_INTERRUPTED`. */
  readonly signal: AbortSignal;
  /** Ends it with `QZ_QCTL_TIMEOUT`; never unless given. */
  readonly timeoutSeconds?: number | undefined;
  /** What is waited for, for the message of a timeout. */
  readonly what: string;
  /** How long a lost server is tried again; 300 seconds unless given. */
  readonly giveUpSeconds?: number;
}

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2000;

/**
 * Looks at a thing until it is done, with growing pauses. A lost connection is no reason to give up:
 * the next look goes on where the last one was.
 */
export async function waitFor<Thing>(options: WaitOptions<Thing>): Promise<Thing> {
  const {
    read,
    done,
    onChange,
    onLost,
    signal,
    timeoutSeconds,
    what,
    giveUpSeconds = 300,
  } = options;
  const started = performance.now();
  const limit =
    timeoutSeconds === undefined ? undefined : AbortSignal.timeout(timeoutSeconds * 1000);
  const ended = limit === undefined ? signal : AbortSignal.any([signal, limit]);
  let pause = FIRST_PAUSE_MS;
  let lostSince: number | undefined;
  for (;;) {
    try {
      const thing = await read(ended);
      if (lostSince !== undefined) onLost?.(undefined);
      lostSince = undefined;
      onChange?.(thing);
      if (done(thing)) return thing;
    } catch (failure) {
      if (!ended.aborted) {
        if (!isQueztlError(failure) || !isPassing(failure)) throw failure;
        lostSince ??= performance.now();
        if (performance.now() - lostSince > giveUpSeconds * 1000) throw failure;
        onLost?.(failure);
      }
    }
    if (signal.aborted) throw qctlErrors("QZ_QCTL_INTERRUPTED", { after: "" });
    if (ended.aborted) {
      const seconds = Math.round((performance.now() - started) / 1000);
      throw qctlErrors("QZ_QCTL_TIMEOUT", { what, seconds });
    }
    await sleep(pause, ended);
    pause = Math.min(LONGEST_PAUSE_MS, pause * 1.5);
  }
}

/** Whether a failure may pass by itself: the server is away, busy or slow. */
export const isPassing = ({ status }: QueztlError): boolean =>
  status === "unavailable" || status === "exhausted" || status === "timeout";

/** Waits, or ends early without an error once aborted. */
export const sleep = (milliseconds: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const finish = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", finish);
      resolve();
    };
    const timer = setTimeout(finish, milliseconds);
    signal.addEventListener("abort", finish);
  });
