import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** In a checkout the monitor runs from its sources, as this module does. */
const FROM_SOURCE = import.meta.url.endsWith(".ts");

const PACKAGE = import.meta.resolve("@queztl/hypervisor/package.json");

/** The monitor's program. */
export const PROGRAM: string = fileURLToPath(
  new URL(FROM_SOURCE ? "src/node/monitor/main.ts" : "dist/node/monitor/main.js", PACKAGE),
);

const FLAGS: readonly string[] = [
  ...(FROM_SOURCE ? ["--conditions=@queztl/source"] : []),
  // A monitor makes little garbage: larger halves only take memory from each VM.
  "--max-semi-space-size=1",
];

/** All that a monitor gets of its starter's environment, which may hold secrets. */
const VARIABLES = ["PATH", "HOME", "TMPDIR", "TEMP", "TMP", "SystemRoot", "LANG", "TZ"];

/**
 * Starts the monitor's program as a process of its own, in a session of its own.
 * @param log an open file for what it writes.
 * @returns its process; descriptor 3 is a pipe to whoever starts it.
 */
export function spawnMonitor(
  home: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly log: number },
): ChildProcess {
  const { cwd, log } = options;
  const inherited = VARIABLES.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value]];
  });
  return spawn(process.execPath, [...FLAGS, PROGRAM, ...args], {
    cwd,
    detached: true,
    stdio: ["ignore", log, log, "pipe"],
    windowsHide: true,
    env: {
      ...(Object.fromEntries(inherited) as Record<string, string>),
      // The interpreter as it was compiled before is there.
      QUEZTL_HOME: home,
      // Modules are compiled, and stripped of their types, by the first monitor only.
      NODE_COMPILE_CACHE: join(home, "cache", "code"),
      // What compiling takes is given back only from glibc's main arena.
      MALLOC_ARENA_MAX: "1",
    },
  });
}
