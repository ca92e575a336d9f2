import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createQueztlClient, type QueztlClient } from "@queztl/api";
import { TEST_CACHE } from "./start-test-server.ts";
import type { PrivatePostgres } from "./private-postgres.ts";

/** What is done to a server while it works. */
export interface ChaosOptions {
  readonly tasks: number;
  /** How often the server is killed with SIGKILL. */
  readonly kills: number;
  /** A Postgres to work on, and how often it is killed; the embedded database unless given. */
  readonly postgres?: {
    readonly server: PrivatePostgres;
    readonly url: string;
    readonly restarts: number;
  };
  readonly say?: (words: string) => void;
}

/** What became of the tasks. */
export interface ChaosResult {
  readonly states: Readonly<Record<string, number>>;
  /** Tasks whose program has never come to its end, by the marks it leaves itself. */
  readonly lost: number;
  /** Tasks whose program came to its end more than once. */
  readonly doubled: number;
  readonly attempts: number;
  /** Why tasks failed that did. */
  readonly problems: readonly string[];
  readonly seconds: number;
}

const PROGRAM = join(import.meta.dirname, "server-process.ts");
const SUBMITTED_AT_ONCE = 20;

/**
 * Queues short tasks and kills the server, and its Postgres, while they run. Each task's program makes a file of its own when it
 * comes to its end, outside of anything the server knows: those are counted.
 */
export async function chaos(options: ChaosOptions): Promise<ChaosResult> {
  const { tasks, kills, postgres, say = () => undefined } = options;
  const folder = mkdtempSync(join(tmpdir(), "queztl-chaos-"));
  const [home, marks] = [join(folder, "home"), join(folder, "marks")];
  mkdirSync(marks);
  // Below the range that the system gives to outgoing connections.
  const port = 20_000 + (process.pid % 12_000);
  const url = `http://127.0.0.1:${port}`;
  const server = new Restartable(home, port, postgres?.url);
  const started = performance.now();
  try {
    const token = await server.start();
    const client = createQueztlClient({ url, token, timeoutSeconds: 30 });
    const submitting = submitAll(client, tasks, marks);
    let [killed, restarted] = [0, 0];
    const restarts = postgres?.restarts ?? 0;
    while (killed < kills || restarted < restarts) {
      const done = readdirSync(marks).length;
      // Spread over the work: the first when some is done, the last while some is left.
      const due = (count: number, of: number) => done >= ((count + 0.5) / of) * tasks * 0.9;
      if (restarted < restarts && due(restarted, restarts)) {
        restarted += 1;
        say(`${done} done: Postgres is killed (${restarted})`);
        await postgres?.server.restart();
      }
      if (killed < kills && due(killed, kills)) {
        killed += 1;
        say(`${done} done: the server is killed (${killed})`);
        await server.kill();
        await server.start();
      }
      await sleep(20);
    }
    await submitting;
    const states = await settled(client, tasks);
    const seen = new Map<string, number>();
    for (const mark of readdirSync(marks)) {
      const task = mark.slice(0, mark.indexOf("."));
      seen.set(task, (seen.get(task) ?? 0) + 1);
    }
    return {
      states,
      lost: tasks - seen.size,
      doubled: [...seen.values()].filter((count) => count > 1).length,
      attempts: readdirSync(marks).length,
      problems: await problemsOf(client),
      seconds: (performance.now() - started) / 1000,
    };
  } finally {
    await server.stop();
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

async function submitAll(client: QueztlClient, tasks: number, marks: string): Promise<void> {
  const numbers = Array.from({ length: tasks }, (_, index) => index);
  const workers = Array.from({ length: SUBMITTED_AT_ONCE }, async () => {
    for (let number = numbers.shift(); number !== undefined; number = numbers.shift()) {
      const name = `t${number}`;
      const script = `sleep 0.1; mktemp ${marks}/${name}.XXXXXX`;
      const input = {
        description: `Short task ${number % 7}`,
        command: ["sh", "-c", script],
        idempotencyKey: name,
        priority: number % 3,
      };
      // The server may be gone just now; the same key makes the same task, whether the first call came through or not.
      await again(() => client.task.submit.mutate(input));
    }
  });
  await Promise.all(workers);
}

async function settled(client: QueztlClient, tasks: number): Promise<Record<string, number>> {
  for (;;) {
    const { tasks: states } = await again(() => client.stats.get.query({}));
    const over = (states["succeeded"] ?? 0) + (states["failed"] ?? 0) + (states["cancelled"] ?? 0);
    if (over >= tasks) return states;
    await sleep(200);
  }
}

async function problemsOf(client: QueztlClient): Promise<string[]> {
  const { items } = await again(() => client.task.list.query({ states: ["failed"] }));
  return Promise.all(
    items.map(async ({ id }) => {
      const { problem, attempts } = await again(() => client.task.get.query({ task: id }));
      return `${problem?.message} ${JSON.stringify(attempts)}`;
    }),
  );
}

async function again<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  for (;;) {
    try {
      return await ask();
    } catch {
      await sleep(100);
    }
  }
}

/** A server process that is killed and started again on the same home and port. */
class Restartable {
  readonly #words: readonly string[];
  readonly #env: NodeJS.ProcessEnv;
  readonly #port: number;
  #child: ChildProcess | undefined;

  constructor(home: string, port: number, databaseUrl: string | undefined) {
    this.#words = ["--conditions=@queztl/source", PROGRAM, home, String(port)];
    this.#port = port;
    this.#env = {
      ...process.env,
      QUEZTL_CACHE: TEST_CACHE,
      ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl }),
    };
  }

  /** Starts it; resolves when it answers, with the first token where this start has made it. */
  async start(): Promise<string> {
    const child = spawn(process.execPath, this.#words, {
      env: this.#env,
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#child = child;
    const said: string[] = [];
    child.stdout.setEncoding("utf8").on("data", (text: string) => said.push(text));
    const ready = () =>
      fetch(`http://127.0.0.1:${this.#port}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      );
    while (!(await ready())) {
      if (child.exitCode !== null) return this.start();
      await sleep(50);
    }
    for (let tries = 0; tries < 20 && said.length === 0; tries += 1) await sleep(10);
    return said.join("").trim();
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
