import { spawn } from "node:child_process";
import type { Subject } from "./bench.ts";

// Long enough that the clock's resolution and one interrupt vanish in a sample.
const sampleMilliseconds = 20;

// Results of timed bodies end here, so that the compiler cannot leave their work out.
let sink: unknown;

/**
 * A measure that calls `body` for at least 20 ms and gives nanoseconds per operation. `operations`
 * says how many operations one call of `body` does.
 */
export function timed(body: () => unknown, operations = 1): Subject["measure"] {
  let calls = 1;
  return () => {
    for (;;) {
      const started = process.hrtime.bigint();
      for (let call = 0; call < calls; call += 1) sink = body();
      const elapsed = Number(process.hrtime.bigint() - started);
      if (elapsed >= sampleMilliseconds * 1e6) return elapsed / (calls * operations);
      calls = Math.ceil(calls * Math.min(10, (sampleMilliseconds * 1.5e6) / Math.max(elapsed, 1)));
    }
  };
}

/** What the last timed body returned; reading it keeps `sink` alive. */
export function lastResult(): unknown {
  return sink;
}

export interface CommandOptions {
  /** Turns what the program printed into the sample; without it the sample is the wall time in ms. */
  readonly parse?: (stdout: string) => number;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** 120 seconds unless said; a program that takes longer is killed and the sample fails. */
  readonly timeoutMs?: number;
}

/** A measure that runs a program without a shell; it must exit with 0. */
export function command(
  [program, ...words]: readonly [string, ...string[]],
  { parse, cwd, env, timeoutMs = 120_000 }: CommandOptions = {},
): Subject["measure"] {
  return () =>
    new Promise((resolve, reject) => {
      const started = performance.now();
      const child = spawn(program, words, {
        cwd,
        env: { ...process.env, ...env },
        stdio: ["ignore", "pipe", "pipe"],
        timeout: timeoutMs,
        killSignal: "SIGKILL",
      });
      let [stdout, stderr] = ["", ""];
      child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
      child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
      child.on("error", reject);
      child.on("close", (code, signal) => {
        const elapsed = performance.now() - started;
        if (code === 0) resolve(parse === undefined ? elapsed : parse(stdout));
        else reject(new Error(`${program} ended with ${code ?? signal}: ${stderr.slice(-500)}`));
      });
    });
}
