import { EXIT_CODES } from "../exit-codes.ts";

/** Ctrl-C as an abort signal; the second one ends the process at once. */
export interface Interruption {
  readonly signal: AbortSignal;
  readonly release: () => void;
}

/** Watches for SIGINT and SIGTERM until released. */
export function watchInterruption(): Interruption {
  const controller = new AbortController();
  const interrupted = () => {
    if (controller.signal.aborted) process.exit(EXIT_CODES.interrupted.code);
    controller.abort();
  };
  process.on("SIGINT", interrupted);
  process.on("SIGTERM", interrupted);
  return {
    signal: controller.signal,
    release: () => {
      process.off("SIGINT", interrupted);
      process.off("SIGTERM", interrupted);
    },
  };
}
