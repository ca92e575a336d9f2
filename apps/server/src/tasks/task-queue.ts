import { sql } from "drizzle-orm";
import { fromDrizzle, PgBoss } from "pg-boss";
import type { Database, Records } from "../database/database.ts";

const QUEUE = "tasks";
/** A claim takes milliseconds; a job that was fetched and not claimed after this was lost with its server. */
const CLAIM_SECONDS = 60;
const KEPT_SECONDS = 3600;

/** What is queued: a wish to look at a task, most urgent first. */
export interface QueuedJob {
  readonly id: string;
  readonly task: string;
}

/**
 * The durable queue. A job says no more than that a task waits; the task's own row decides. So a job that comes twice, or
 * for a task that was cancelled, does no harm.
 */
export class TaskQueue {
  readonly #boss: PgBoss;

  constructor(database: Database, onError: (error: Error) => void) {
    this.#boss = new PgBoss({
      ...database.queue,
      schedule: false,
      superviseIntervalSeconds: 60,
      maintenanceIntervalSeconds: 600,
    });
    this.#boss.on("error", onError);
  }

  async start(): Promise<void> {
    await this.#boss.start();
    await this.#boss.createQueue(QUEUE, {
      expireInSeconds: CLAIM_SECONDS,
      retryLimit: 1000,
      retentionSeconds: 365 * 24 * 3600,
      deleteAfterSeconds: KEPT_SECONDS,
    });
  }

  /** Queues tasks, in the transaction that makes them wait. */
  async add(records: Records, waiting: readonly { id: string; priority: number }[]): Promise<void> {
    await this.#boss.insert(
      QUEUE,
      waiting.map(({ id, priority }) => ({ data: { task: id }, priority })),
      { db: inside(records) },
    );
  }

  /** Takes up to so many jobs, the most urgent first. */
  async fetch(most: number): Promise<QueuedJob[]> {
    const jobs = await this.#boss.fetch<{ task: string }>(QUEUE, { batchSize: most });
    return jobs.map(({ id, data }) => ({ id, task: data.task }));
  }

  /** The jobs of claimed tasks are done: all in one statement. */
  async complete(records: Records, jobs: readonly QueuedJob[]): Promise<void> {
    if (jobs.length === 0) return;
    await this.#boss.complete(
      QUEUE,
      jobs.map(({ id }) => id),
      null,
      { db: inside(records) },
    );
  }

  /** Drops every job: at a start the waiting tasks' rows say anew what is to be queued. */
  async clear(): Promise<void> {
    await this.#boss.deleteAllJobs(QUEUE);
  }

  async stop(): Promise<void> {
    await this.#boss.stop({ graceful: false, close: true });
  }
}

/** Has the queue work inside a transaction; the adapter's type knows only some of Drizzle's drivers. */
const inside = (records: Records) =>
  fromDrizzle(records as unknown as Parameters<typeof fromDrizzle>[0], sql);
