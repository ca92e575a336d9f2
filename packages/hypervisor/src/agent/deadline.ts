import { hypervisorError } from "../errors.ts";
import { deferred } from "./deferred.ts";

/** How long one request may take, and how it is given up. */
export interface RequestOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Waits for a promise, but not for ever. @throws what `late` makes; QZ_HYPERVISOR_AGENT_CANCELLED */
export async function withDeadline<Result>(
  promise: Promise<Result>,
  options: {
    readonly timeoutMs: number;
    readonly signal: AbortSignal | undefined;
    readonly late: () => Error;
    readonly what: string;
  },
): Promise<Result> {
  const { timeoutMs, signal, late, what } = options;
  const gone = deferred<never>();
  const cancel = () => gone.reject(cancelled(what, signal));
  const timer = setTimeout(() => gone.reject(late()), timeoutMs);
  signal?.addEventListener("abort", cancel);
  if (signal?.aborted) cancel();
  promise.catch(() => undefined);
  try {
    return await Promise.race([promise, gone.promise]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", cancel);
  }
}

/** The error of a request that its caller gave up. */
export function cancelled(what: string, signal: AbortSignal | undefined): Error {
  return hypervisorError("QZ_HYPERVISOR_AGENT_CANCELLED", { what }, { cause: signal?.reason });
}
