/** The signals of Linux on x86-64 that have a name (signal(7)), by number. */
const SIGNALS = [
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGILL",
  "SIGTRAP",
  "SIGABRT",
  "SIGBUS",
  "SIGFPE",
  "SIGKILL",
  "SIGUSR1",
  "SIGSEGV",
  "SIGUSR2",
  "SIGPIPE",
  "SIGALRM",
  "SIGTERM",
  "SIGSTKFLT",
  "SIGCHLD",
  "SIGCONT",
  "SIGSTOP",
  "SIGTSTP",
  "SIGTTIN",
  "SIGTTOU",
  "SIGURG",
  "SIGXCPU",
  "SIGXFSZ",
  "SIGVTALRM",
  "SIGPROF",
  "SIGWINCH",
  "SIGIO",
  "SIGPWR",
  "SIGSYS",
] as const;

/** The name of a signal. */
export type SignalName = (typeof SIGNALS)[number];

/** The number of a signal; undefined for what is none. */
export function signalNumber(name: string): number | undefined {
  const index = (SIGNALS as readonly string[]).indexOf(name);
  return index < 0 ? undefined : index + 1;
}

/** The name of a signal's number; real-time signals have a made-up one. */
export function signalName(number: number): SignalName | `SIG${number}` {
  return SIGNALS[number - 1] ?? `SIG${number}`;
}
