import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createQueztlClient, type QueztlClient } from "@queztl/api";
import { consoleMarks, fileMarks, type Marks } from "./marks.ts";
import type { PrivatePostgres } from "./private-postgres.ts";
import { RestartableServer } from "./restartable-server.ts";

/** What is done to a server while it works. */
export interface ChaosOptions {
  readonly tasks: number;
  /** How often the server is killed with SIGKILL. */
  readonly kills: number;
  /** Whether tasks run in real VMs; in processes of this computer unless given. */
  readonly vms?: "real" | "processes";
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
  readonly ends: number;
  /** Why tasks failed that did. */
  readonly problems: readonly string[];
  readonly seconds: number;
}

const SUBMITTED_AT_ONCE = 20;

/**
 * Queues short tasks and kills the server, and its Postgres, while they run. Each task's program leaves a mark of its own when it
 * comes to its end, outside of anything the server knows: those are counted.
 */
export async function chaos(options: ChaosOptions): Promise<ChaosResult> {
  const { tasks, kills, postgres, vms = "processes", say = () => undefined } = options;
  const folder = mkdtempSync(join(tmpdir(), "queztl-chaos-"));
  const home = emptyHome(folder);
  const marks =
    vms === "real" ? consoleMarks(join(folder, "marks"), home) : fileMarks(join(folder, "marks"));
  const server = new RestartableServer({ home, databaseUrl: postgres?.url, vms });
  const started = performance.now();
  try {
    const token = await server.start();
    const client = createQueztlClient({ url: server.url, token, timeoutSeconds: 30 });
    const submitting = submitAll(client, tasks, marks);
    let [killed, restarted] = [0, 0];
    const restarts = postgres?.restarts ?? 0;
    while (killed < kills || restarted < restarts) {
      const done = marks.seen().size;
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
    const seen = marks.seen();
    const ends = [...seen.values()];
    return {
      states,
      lost: tasks - seen.size,
      doubled: ends.filter((count) => count > 1).length,
      ends: ends.reduce((sum, count) => sum + count, 0),
      problems: await problemsOf(client),
      seconds: (performance.now() - started) / 1000,
    };
  } finally {
    await server.stop();
    marks.close();
    rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

/** A home in a folder, with nothing in it but the images that this computer has. */
export function emptyHome(folder: string): string {
  const home = join(folder, "home");
  mkdirSync(home);
  const images = join(homedir(), ".queztl/images");
  if (existsSync(images)) symlinkSync(images, join(home, "images"));
  return home;
}

async function submitAll(client: QueztlClient, tasks: number, marks: Marks): Promise<void> {
  const numbers = Array.from({ length: tasks }, (_, index) => index);
  const workers = Array.from({ length: SUBMITTED_AT_ONCE }, async () => {
    for (let number = numbers.shift(); number !== undefined; number = numbers.shift()) {
      const name = `t${number}`;
      const input = {
        description: `Short task ${number % 7}`,
        command: [...marks.command(name)],
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
