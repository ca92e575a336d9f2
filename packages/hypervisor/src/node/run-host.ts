import type { Writable } from "node:stream";

/** The exit statuses that are not the debug-exit port's. */
export const ExitStatus = {
  PowerOff: 0,
  Failed: 1,
  Usage: 2,
  TripleFault: 3,
  Timeout: 124,
  Interrupted: 130,
  Terminated: 143,
} as const;

/** The process around a run; tests have one of their own. */
export interface RunHost {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** Calls the listener at SIGINT and SIGTERM; the function it returns ends that. */
  readonly onSignal: (listener: (signal: "SIGINT" | "SIGTERM") => void) => () => void;
}
