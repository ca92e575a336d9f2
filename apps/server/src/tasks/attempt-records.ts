import type { Decision } from "@queztl/brain";
import { and, eq, inArray } from "drizzle-orm";
import { decidedResourcesOf } from "../brain/brain-service.ts";
import { persistently } from "../database/persistently.ts";
import { attempts, taskFiles, tasks } from "../database/schema.ts";
import type { AttemptEnd, NextState } from "./attempt-end.ts";
import type { AttemptSteps } from "./attempt-steps.ts";
import type { RunnerParts } from "./runner-parts.ts";
import { type AttemptRow, STARTED_STATES, type TaskFileRow, type TaskRow } from "./task-records.ts";

/** How an attempt is written down. */
export interface AttemptVerdict {
  readonly end: AttemptEnd;
  readonly next: NextState;
  readonly learned: readonly string[];
  /** What the task answered; undefined where it did not. */
  readonly result: unknown;
}

/**
 * One attempt's part of the database. What it writes it writes whatever it takes, also while a database restarts, until the
 * server lets go of the attempt.
 */
export class AttemptRecords {
  readonly #parts: RunnerParts;
  readonly #task: TaskRow;
  readonly #steps: AttemptSteps;
  readonly #letGo: AbortSignal;

  constructor(parts: RunnerParts, task: TaskRow, steps: AttemptSteps, letGo: AbortSignal) {
    this.#parts = parts;
    this.#task = task;
    this.#steps = steps;
    this.#letGo = letGo;
  }

  files(kind: TaskFileRow["kind"]): Promise<TaskFileRow[]> {
    return this.#surely(() => this.#parts.records.files(this.#task.id, kind));
  }

  async decision(id: string): Promise<Decision | undefined> {
    const found = await this.#surely(() => this.#parts.brain.store.find({ decision: id }));
    return found?.decision;
  }

  async decided({ id, resources, task: { family, domain } }: Decision): Promise<void> {
    const { records } = this.#parts.records;
    await this.#note({ decision: id, resources: decidedResourcesOf(resources) });
    await this.#surely(() =>
      records.update(tasks).set({ family, domain }).where(eq(tasks.id, this.#task.id)),
    );
  }

  /** The step that is begun: whoever looks sees where the attempt is. */
  async reached(): Promise<void> {
    await this.#note({});
  }

  /** Before anything is started: the next server knows where to look. */
  async placed(vm: string): Promise<void> {
    await this.#note({ vm });
  }

  async started(): Promise<void> {
    const { id, attempt } = this.#task;
    const { records } = this.#parts.records;
    await this.#note({ runningAt: new Date() });
    await this.#surely(() =>
      records
        .update(tasks)
        .set({ state: "running" })
        .where(and(eq(tasks.id, id), eq(tasks.attempt, attempt), eq(tasks.state, "preparing"))),
    );
  }

  /** In place of all results that there were. */
  async keepResults(rows: readonly (typeof taskFiles.$inferInsert)[]): Promise<void> {
    await this.#surely(() =>
      this.#parts.records.records.transaction(async (records) => {
        await records
          .delete(taskFiles)
          .where(and(eq(taskFiles.task, this.#task.id), eq(taskFiles.kind, "result")));
        for (let at = 0; at < rows.length; at += 1000) {
          await records.insert(taskFiles).values(rows.slice(at, at + 1000));
        }
      }),
    );
  }

  /** Writes down how it ended: from then on the attempt is over, whatever is killed. False where the task was over before. */
  async ended({ end, next, learned, result }: AttemptVerdict): Promise<boolean> {
    const { records, queue } = this.#parts;
    const { id, attempt, attemptsForgiven } = this.#task;
    const { outcome, run } = end;
    const now = new Date();
    return this.#surely(() =>
      records.records.transaction(async (records) => {
        await records
          .update(attempts)
          .set({
            outcome,
            steps: this.#steps.list,
            exitCode: run?.signal === null && !run.timedOut ? run.exitCode : null,
            peakMib: run?.peakMib ?? null,
            cpuSeconds: run?.cpuSeconds ?? null,
            wallSeconds: run?.wallSeconds ?? null,
            endedAt: now,
          })
          .where(and(eq(attempts.task, id), eq(attempts.number, attempt)));
        const [row] = await records
          .update(tasks)
          .set({
            state: next.state,
            ...(next.state === "queued" ? {} : { endedAt: now }),
            ...(outcome === "lost" ? { attemptsForgiven: attemptsForgiven + 1 } : {}),
            problem: next.problem ?? null,
            learned: [...learned],
            ...(result === undefined ? {} : { result: { value: result } }),
          })
          .where(
            and(
              eq(tasks.id, id),
              eq(tasks.attempt, attempt),
              inArray(tasks.state, [...STARTED_STATES]),
            ),
          )
          .returning();
        if (row !== undefined && next.state === "queued") await queue.add(records, [row]);
        return row !== undefined;
      }),
    );
  }

  #note(changes: Partial<AttemptRow>): Promise<unknown> {
    const { id, attempt } = this.#task;
    return this.#surely(() =>
      this.#parts.records.records
        .update(attempts)
        .set({ ...changes, steps: this.#steps.list })
        .where(and(eq(attempts.task, id), eq(attempts.number, attempt))),
    );
  }

  #surely<Result>(work: () => PromiseLike<Result>): Promise<Result> {
    return persistently(async () => work(), {
      signal: this.#letGo,
      onRetry: (cause) => {
        this.#parts.log.warn({ err: cause, task: this.#task.id }, "the database is waited for");
      },
    });
  }
}
