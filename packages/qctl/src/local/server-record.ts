import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** The port that a server takes unless told. */
export const DEFAULT_PORT = 7070;

/** The server that `qctl up` has started. */
export interface ServerRecord {
  readonly pid: number;
  readonly url: string;
  /** When the process began, as the kernel counts: another one with the same id has another. */
  readonly started: string;
}

/** Where a local server's things are. */
export interface ServerPaths {
  readonly record: string;
  /** The server's log lines. */
  readonly log: string;
  /** What it says beside its log. */
  readonly words: string;
}

export const serverPaths = (home: string): ServerPaths => ({
  record: join(home, "local-server.json"),
  log: join(home, "server.log"),
  words: join(home, "server.err"),
});

/** The server that was started here and still runs; undefined where there is none. */
export function runningServer({ record }: ServerPaths): ServerRecord | undefined {
  try {
    const found = JSON.parse(readFileSync(record, "utf8")) as Partial<ServerRecord>;
    const { pid, url, started } = found;
    if (typeof pid !== "number" || typeof url !== "string" || typeof started !== "string")
      return undefined;
    return isRunning({ pid, started }) ? { pid, url, started } : undefined;
  } catch {
    return undefined;
  }
}

export function writeRecord({ record }: ServerPaths, server: ServerRecord): void {
  mkdirSync(dirname(record), { recursive: true, mode: 0o700 });
  writeFileSync(record, `${JSON.stringify(server)}\n`, { mode: 0o600 });
}

export const forgetRecord = ({ record }: ServerPaths): void => rmSync(record, { force: true });

/** Whether a process still runs, and is the same one. */
export function isRunning({ pid, started }: Pick<ServerRecord, "pid" | "started">): boolean {
  try {
    process.kill(pid, 0);
    return startOf(pid) === started;
  } catch {
    return false;
  }
}

/** When a process began: the kernel's count on Linux, nothing where there is no such count. */
export function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name before may hold anything, also `)`; after the last one come state, parent and so on.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // A process that has ended and was not yet looked after by its parent runs no more.
    return fields[0] === "Z" ? "ended" : (fields[19] ?? "");
  } catch {
    return "";
  }
}
