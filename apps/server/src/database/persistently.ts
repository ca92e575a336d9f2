import { setTimeout as sleep } from "node:timers/promises";
import { isQueztlError } from "@queztl/errors";

const FIRST_MS = 50;
const LONGEST_MS = 5000;

/**
 * Does work on the database until it succeeds: what must be written is not given up because a database restarts. Errors with a
 * code are answers, not interruptions, and are thrown; so is the signal's reason.
 */
export async function persistently<Result>(
  work: () => Promise<Result>,
  options: { readonly signal: AbortSignal; readonly onRetry: (cause: unknown) => void },
): Promise<Result> {
  for (let pause = FIRST_MS; ; pause = Math.min(LONGEST_MS, pause * 2)) {
    try {
      return await work();
    } catch (cause) {
      if (isQueztlError(cause) || !isInterruption(cause)) throw cause;
      options.onRetry(cause);
      await sleep(pause, undefined, { signal: options.signal });
    }
  }
}

// Connections: SQLSTATE classes 08 (lost), 57P (the server stops or starts), 53 (it has no room), and the network's.
const CODES =
  /^(?:08|57P|53|25P02)|^(?:ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|CONNECTION_|CONNECT_TIMEOUT)/;

// What the driver says in words alone.
const WORDS =
  /^(?:Connection terminated|Connection ended|timeout exceeded when trying|timeout expired|Client has enc)/;

function isInterruption(cause: unknown): boolean {
  for (let error = cause; error instanceof Error; error = error.cause) {
    if ("code" in error && CODES.test(String(error.code))) return true;
    if (WORDS.test(error.message)) return true;
  }
  return false;
}
