import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { TEST_CACHE } from "./start-test-server.ts";

/** Where and how a server is run. */
export interface RestartableOptions {
  readonly home: string;
  /** The embedded database unless given. */
  readonly databaseUrl?: string | undefined;
  readonly vms: "real" | "processes";
}

const PROGRAM = join(import.meta.dirname, "server-process.ts");
let ports = 0;

/** A server process that is killed and started again on the same home and port. */
export class RestartableServer {
  readonly url: string;
  readonly #words: readonly string[];
  readonly #env: NodeJS.ProcessEnv;
  #child: ChildProcess | undefined;

  constructor({ home, databaseUrl, vms }: RestartableOptions) {
    // Below the range that the system gives to outgoing connections.
    const port = 20_000 + ((process.pid + (ports += 1) * 97) % 12_000);
    this.url = `http://127.0.0.1:${port}`;
    this.#words = ["--conditions=@queztl/source", PROGRAM, home, String(port), vms];
    this.#env = {
      ...process.env,
      QUEZTL_CACHE: TEST_CACHE,
      ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl }),
    };
  }

  /** Starts it; resolves when it works, with the first token where this start has made it. */
  async start(): Promise<string> {
    const child = spawn(process.execPath, this.#words, {
      env: this.#env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#child = child;
    let said = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
    while (!said.includes("\n")) {
      if (child.exitCode !== null) return this.start();
      await sleep(20);
    }
    return said.trim();
  }

  kill(): Promise<void> {
    return this.#end("SIGKILL");
  }

  stop(): Promise<void> {
    return this.#end("SIGTERM");
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill(signal);
    await gone;
  }
}
