import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, truncateSync } from "node:fs";
import { qctlErrors } from "../errors.ts";
import { sleep } from "../session/wait.ts";
import { printable } from "../view/printable.ts";
import { healthOf } from "./health.ts";
import type { ServerProgram } from "./server-program.ts";
import { serverPaths, startOf, writeRecord } from "./server-record.ts";

/** How a local server is started. */
export interface StartOptions {
  readonly program: ServerProgram;
  readonly home: string;
  readonly url: string;
  readonly port: number;
  /** The name of a token that it makes for whoever starts it; none unless given. */
  readonly token?: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
  readonly timeoutSeconds: number;
}

/** A server that was started. */
export interface StartedServer {
  readonly pid: number;
  /** The secret of the token that this start has made. */
  readonly token: string | undefined;
}

const SECRET = /\bqz_[A-Za-z0-9_-]{20,}/;

/** Starts a server in the background and waits until it is ready. Stops it again where that fails. */
export async function startLocalServer(options: StartOptions): Promise<StartedServer> {
  const { program, home, url, port, token, environment, signal, timeoutSeconds } = options;
  const paths = serverPaths(home);
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const log = openSync(paths.log, "a", 0o600);
  const words = openSync(paths.words, "w", 0o600);
  // Appending, so that what is taken out of the file stays out.
  closeSync(words);
  const said = openSync(paths.words, "a", 0o600);
  const asked = token === undefined ? [] : ["--token", token];
  const child = spawn(program.program, [...program.words, "--port", String(port), ...asked], {
    detached: true,
    stdio: ["ignore", log, said],
    env: { ...environment, QUEZTL_HOME: home },
    cwd: home,
  });
  closeSync(log);
  closeSync(said);
  let ended: string | undefined;
  child.once("error", (failure) => (ended = failure.message));
  child.once("exit", (code, by) => (ended = `ended at once (${by ?? `exit status ${code}`})`));
  const failed = (problem: string) => {
    const last = printable(readFileSync(paths.words, "utf8")).trim().split("\n").at(-1) ?? "";
    const shown = last === "" ? problem : `${problem}: ${last.replace(SECRET, "qz_…")}`;
    return qctlErrors("QZ_QCTL_SERVER_FAILED", { problem: shown, log: paths.log });
  };
  try {
    const until = performance.now() + timeoutSeconds * 1000;
    // It tells its token once it answers.
    const told = () => token === undefined || SECRET.test(readFileSync(paths.words, "utf8"));
    while ((await healthOf(url)) !== "ready" || !told()) {
      if (ended !== undefined) throw failed(ended);
      if (signal.aborted)
        throw qctlErrors("QZ_QCTL_INTERRUPTED", { after: "; the server is stopped again" });
      if (performance.now() > until) throw failed(`was not ready after ${timeoutSeconds} s`);
      await sleep(150, signal);
    }
    // A server of somebody else may be what answers there.
    if (ended !== undefined) throw failed(ended);
  } catch (failure) {
    child.kill("SIGTERM");
    throw failure;
  } finally {
    child.removeAllListeners();
    child.unref();
  }
  const pid = child.pid ?? 0;
  writeRecord(paths, { pid, url, started: startOf(pid) });
  const secret = SECRET.exec(readFileSync(paths.words, "utf8"))?.[0];
  // The secret goes to the context's file only.
  if (secret !== undefined) truncateSync(paths.words, 0);
  return { pid, token: secret };
}
