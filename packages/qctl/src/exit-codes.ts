import type { ErrorStatus } from "@queztl/errors";

/** One way a command can end. */
export interface ExitCode {
  readonly code: number;
  readonly meaning: string;
}

/** Every exit code by what went wrong: a promise to scripts. */
export const EXIT_CODES = {
  done: { code: 0, meaning: "Done" },
  internal: { code: 1, meaning: "A defect of Queztl's; report it" },
  usage: { code: 2, meaning: "The command line or an input is wrong" },
  "not-found": { code: 3, meaning: "The thing does not exist" },
  unauthorised: { code: 4, meaning: "The token is missing, not accepted or may not do this" },
  conflict: { code: 5, meaning: "The thing exists already, or its state forbids this" },
  unavailable: { code: 6, meaning: "The server does not answer, or cannot do this now" },
  failed: { code: 7, meaning: "A task, a VM or a program in it failed" },
  timeout: { code: 8, meaning: "It took too long" },
  exhausted: { code: 9, meaning: "A limit is reached: memory, disk, a quota, the rate of calls" },
  "program-missing": { code: 127, meaning: "vm exec: the program is not in the VM" },
  interrupted: { code: 130, meaning: "Interrupted with Ctrl-C, or declined" },
  "exec-failed": {
    code: 255,
    meaning: "vm exec itself failed; otherwise it ends as the program in the VM did",
  },
} as const satisfies Record<string, ExitCode>;

const byStatus: Readonly<Record<ErrorStatus, ExitCode>> = {
  invalid: EXIT_CODES.usage,
  "not-found": EXIT_CODES["not-found"],
  unauthorised: EXIT_CODES.unauthorised,
  forbidden: EXIT_CODES.unauthorised,
  conflict: EXIT_CODES.conflict,
  exhausted: EXIT_CODES.exhausted,
  unavailable: EXIT_CODES.unavailable,
  timeout: EXIT_CODES.timeout,
  cancelled: EXIT_CODES.interrupted,
  guest: EXIT_CODES.failed,
  internal: EXIT_CODES.internal,
};

/** The exit code for a coded error's status. */
export const exitCodeOf = (status: ErrorStatus): number => byStatus[status].code;
