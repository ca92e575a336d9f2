import type { InputOf } from "@queztl/api";
import { and, eq, inArray, sql } from "drizzle-orm";
import { attempts, tasks } from "../database/schema.ts";
import { serverErrors } from "../errors.ts";
import { LOCAL_NODE } from "../nodes/nodes.ts";
import { Attempt } from "./attempt.ts";
import type { RunnerParts } from "./runner-parts.ts";
import { type PlannedTask, planTask } from "./task-plan.ts";
import type { QueuedJob } from "./task-queue.ts";
import { type AttemptRow, STARTED_STATES, type TaskRow } from "./task-records.ts";

/** The most jobs that are claimed at once. */
const MOST_CLAIMED = 100;
const SWEEP_MS = 5000;

/**
 * The only place that knows a task's whole way. It claims waiting tasks in batches, as many as there is room for, and
 * makes an attempt of each. What an attempt is about to do is written down first, so that the next server finds it.
 */
export class TaskRunner {
  readonly #parts: RunnerParts;
  readonly #running = new Map<string, Attempt>();
  readonly #ended = new Set<() => void>();
  #stopping = false;
  #loop: Promise<void> | undefined;
  #wake: () => void = () => undefined;
  #poll: NodeJS.Timeout | undefined;
  #sweep: NodeJS.Timeout | undefined;

  constructor(parts: RunnerParts) {
    this.#parts = parts;
  }

  get running(): number {
    return this.#running.size;
  }

  /** Refuses what can never be done, while its user is there to hear it. */
  async check(
    task: PlannedTask,
    wishes: Pick<InputOf<"task.submit">, "request" | "limits">,
  ): Promise<void> {
    const { fleet, reservations } = this.#parts;
    const { request, limits } = wishes;
    const most = Math.min(fleet.parts.host.mostMemoryMib, reservations.capacity.memoryMib);
    const wanted = Math.min(request?.memoryMib ?? 0, limits?.memoryMib ?? Infinity);
    if (wanted > most) {
      const what = "memory";
      throw serverErrors("QZ_SERVER_TOO_LARGE", {
        what,
        wanted: `${wanted} MiB`,
        capacity: `${most} MiB`,
      });
    }
    await planTask(task, this.#parts);
  }

  /** Takes up what an earlier server left, then looks at the queue until `stop`. */
  async start(): Promise<void> {
    await this.#reconcile();
    this.#loop = this.#work();
    this.#poll = setInterval(() => this.wake(), this.#parts.settings.get("queue.pollMilliseconds"));
    this.#sweep = setInterval(() => {
      void this.#expire();
      void this.#adopt();
    }, SWEEP_MS);
  }

  /** Something may be there to do. */
  wake(): void {
    this.#wake();
  }

  /** Ends the attempt that is made for a task, if any; the task's row says already why. */
  stopAttempt(task: string): void {
    this.#running.get(task)?.cancel();
  }

  /**
   * Sends the tasks of this node back to the queue when a deadline is over, and waits until none is left, or until
   * nobody wants that any more.
   */
  async drain(deadlineSeconds: number, signal: AbortSignal): Promise<void> {
    const timer = setTimeout(() => {
      for (const attempt of this.#running.values()) attempt.giveBack();
    }, deadlineSeconds * 1000);
    const unwanted = new Promise((resolve) => signal.addEventListener("abort", resolve));
    await Promise.race([this.idle(), unwanted]);
    clearTimeout(timer);
  }

  /** Resolves when no attempt is being made. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) {
      await new Promise<void>((resolve) => {
        const told = () => {
          this.#ended.delete(told);
          resolve();
        };
        this.#ended.add(told);
      });
    }
  }

  /** Begins nothing more and lets go of what runs; VMs go on, and the next server takes them over. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearInterval(this.#poll);
    clearInterval(this.#sweep);
    this.wake();
    await this.#loop;
    await Promise.all([...this.#running.values()].map((attempt) => attempt.letGo()));
  }

  async #work(): Promise<void> {
    const { reservations, queue, log, settings } = this.#parts;
    while (!this.#stopping) {
      const woken = new Promise<void>((resolve) => (this.#wake = resolve));
      try {
        const room = Math.min(MOST_CLAIMED, Math.floor(reservations.room));
        const jobs = room > 0 ? await queue.fetch(room) : [];
        if (jobs.length > 0) await this.#claim(jobs);
        if (jobs.length === room && room > 0) continue;
      } catch (error) {
        log.error({ err: error }, "the queue cannot be read");
        await new Promise((resolve) => setTimeout(resolve, settings.get("queue.pollMilliseconds")));
      }
      await woken;
    }
  }

  /** Claims the tasks of jobs: their attempts are written down and the jobs done in one transaction. */
  async #claim(jobs: readonly QueuedJob[]): Promise<void> {
    const { records, queue } = this.#parts;
    const now = new Date();
    const claimed = await records.records.transaction(async (records) => {
      const rows = await records
        .update(tasks)
        .set({
          state: "preparing",
          attempt: sql`${tasks.attempt} + 1`,
          startedAt: sql`coalesce(${tasks.startedAt}, ${now.toISOString()}::timestamptz)`,
        })
        .where(
          and(
            inArray(tasks.id, [...new Set(jobs.map(({ task }) => task))]),
            eq(tasks.state, "queued"),
          ),
        )
        .returning();
      if (rows.length > 0) {
        await records.insert(attempts).values(
          rows.map(({ id, attempt }) => ({
            task: id,
            number: attempt,
            node: LOCAL_NODE,
            steps: [],
            startedAt: now,
          })),
        );
      }
      await queue.complete(records, jobs);
      return rows;
    });
    for (const row of claimed) this.#begin(row, undefined);
  }

  #begin(task: TaskRow, found: AttemptRow | undefined): void {
    const { log, metrics } = this.#parts;
    if (found === undefined) {
      metrics.waits.observe(Math.max(0, Date.now() - task.createdAt.getTime()) / 1000);
    }
    const attempt = new Attempt(this.#parts, task);
    this.#running.set(task.id, attempt);
    void attempt
      .run(found)
      .catch((error: unknown) => {
        log.error({ err: error, task: task.id }, "an attempt could not be brought to its end");
      })
      .finally(() => {
        if (this.#running.get(task.id) === attempt) this.#running.delete(task.id);
        for (const told of this.#ended) told();
        this.wake();
      });
  }

  /**
   * After a start: attempts whose program may still run are taken over, the others go back to the queue; and every
   * waiting task has exactly one job again, whatever became of the old ones.
   */
  async #reconcile(): Promise<void> {
    const { records, queue, log } = this.#parts;
    const started = await records.records
      .select()
      .from(tasks)
      .where(inArray(tasks.state, [...STARTED_STATES]));
    for (const task of started) {
      const attempt = await records.attempt(task.id, task.attempt);
      if (attempt !== undefined) this.#begin(task, attempt);
    }
    await queue.clear();
    const waiting = await records.records
      .select({ id: tasks.id, priority: tasks.priority })
      .from(tasks)
      .where(eq(tasks.state, "queued"));
    for (let at = 0; at < waiting.length; at += 1000) {
      await queue.add(records.records, waiting.slice(at, at + 1000));
    }
    if (started.length + waiting.length > 0) {
      log.info({ started: started.length, waiting: waiting.length }, "tasks were taken over");
    }
  }

  /** Takes up attempts that are written down and that nobody makes: their claim was cut off after it was kept. */
  async #adopt(): Promise<void> {
    const { records, log } = this.#parts;
    try {
      const started = await records.records
        .select()
        .from(tasks)
        .where(inArray(tasks.state, [...STARTED_STATES]));
      for (const task of started) {
        if (this.#stopping || this.#running.has(task.id)) continue;
        const attempt = await records.attempt(task.id, task.attempt);
        const age = Date.now() - (attempt?.startedAt.getTime() ?? 0);
        if (attempt === undefined || attempt.endedAt !== null || age < SWEEP_MS) continue;
        if (!this.#running.has(task.id)) this.#begin(task, attempt);
      }
    } catch (error) {
      log.error({ err: error }, "attempts that nobody makes could not be looked for");
    }
  }

  /** Fails tasks whose deadline passed while they waited. */
  async #expire(): Promise<void> {
    const { records, events, logs, log } = this.#parts;
    try {
      const passed = await records.records
        .select()
        .from(tasks)
        .where(and(eq(tasks.state, "queued"), sql`${tasks.deadline} < now()`))
        .limit(1000);
      for (const { id, deadline } of passed) {
        const { code, message } = serverErrors("QZ_SERVER_TASK_DEADLINE", {
          deadline: deadline?.toISOString(),
        });
        const [row] = await records.records
          .update(tasks)
          .set({ state: "failed", endedAt: new Date(), problem: { code, message } })
          .where(and(eq(tasks.id, id), eq(tasks.state, "queued")))
          .returning();
        if (row === undefined) continue;
        await logs.of(id).say("system", `${message}\n`);
        await logs.close(id);
        await events.record({ type: "task.failed", subject: id, message, details: { code } });
      }
    } catch (error) {
      log.error({ err: error }, "passed deadlines could not be looked for");
    }
  }
}
