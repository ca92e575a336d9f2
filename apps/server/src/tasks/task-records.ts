import type { Task, TaskSummary } from "@queztl/api";
import { and, asc, count, desc, eq, inArray, lt, sql } from "drizzle-orm";
import type { Progress } from "@queztl/skills";
import type { Records } from "../database/database.ts";
import { pageOf, type PageInput } from "../database/page.ts";
import { attempts, taskFiles, tasks } from "../database/schema.ts";
import { serverErrors } from "../errors.ts";

export type TaskRow = typeof tasks.$inferSelect;
export type AttemptRow = typeof attempts.$inferSelect;
export type TaskFileRow = typeof taskFiles.$inferSelect;

/** States of a task that is not over. */
export const LIVE_STATES = ["queued", "preparing", "running"] as const;
/** States of a task that an attempt is being made for. */
export const STARTED_STATES = ["preparing", "running"] as const;

/** What lists show: parameters and results, which may be large, are left where they are. */
const SUMMARY = {
  id: tasks.id,
  description: tasks.description,
  family: tasks.family,
  domain: tasks.domain,
  state: tasks.state,
  priority: tasks.priority,
  labels: tasks.labels,
  attempt: tasks.attempt,
  createdAt: tasks.createdAt,
  startedAt: tasks.startedAt,
  endedAt: tasks.endedAt,
} as const;

/** Reading of tasks. */
export class TaskRecords {
  readonly records: Records;
  /** How far the tasks that run now say they are: lost with the server, and said again by the next word. */
  readonly progress = new Map<string, Progress>();

  constructor(records: Records) {
    this.records = records;
  }

  async row(id: string): Promise<TaskRow> {
    const [row] = await this.records.select().from(tasks).where(eq(tasks.id, id));
    if (row === undefined) throw serverErrors("QZ_SERVER_NOT_FOUND", { kind: "task", wanted: id });
    return row;
  }

  async get(id: string): Promise<Task> {
    return this.shown(await this.row(id));
  }

  async shown(row: TaskRow): Promise<Task> {
    // The answer holds a hundred attempts at most: the last ones.
    const rows = await this.records
      .select()
      .from(attempts)
      .where(eq(attempts.task, row.id))
      .orderBy(desc(attempts.number))
      .limit(100);
    const { input, result } = row;
    return {
      ...summaryOf(row),
      ...(input.data === undefined ? {} : { data: input.data }),
      image: input.image ?? null,
      command: input.command === undefined ? null : [...input.command],
      limits: input.limits ?? null,
      deadline: row.deadline?.toISOString() ?? null,
      attempts: rows.toReversed().map(attemptOf),
      ...(result === null ? {} : { result: result.value }),
      problem: row.problem,
      learned: row.learned,
      progress: this.progress.get(row.id) ?? null,
    };
  }

  async list({
    states,
    family,
    ...page
  }: PageInput & {
    states?: readonly Task["state"][] | undefined;
    family?: string | undefined;
  }): Promise<{ items: TaskSummary[]; nextCursor: string | null }> {
    const rows = await this.records
      .select(SUMMARY)
      .from(tasks)
      .where(
        and(
          page.cursor === undefined ? undefined : lt(tasks.id, page.cursor),
          states === undefined ? undefined : inArray(tasks.state, [...states]),
          family === undefined ? undefined : eq(tasks.family, family),
        ),
      )
      .orderBy(desc(tasks.id))
      .limit(page.limit + 1);
    return pageOf(rows, page, { keyOf: ({ id }) => id, itemOf: summaryOf });
  }

  async attempt(task: string, number: number): Promise<AttemptRow | undefined> {
    const [row] = await this.records
      .select()
      .from(attempts)
      .where(and(eq(attempts.task, task), eq(attempts.number, number)));
    return row;
  }

  files(task: string, kind: "input" | "result"): Promise<TaskFileRow[]> {
    return this.records
      .select()
      .from(taskFiles)
      .where(and(eq(taskFiles.task, task), eq(taskFiles.kind, kind)))
      .orderBy(asc(taskFiles.name));
  }

  async counts(): Promise<Record<Task["state"], number>> {
    const counted = { queued: 0, preparing: 0, running: 0, succeeded: 0, failed: 0, cancelled: 0 };
    const rows = await this.records
      .select({ state: tasks.state, tasks: count() })
      .from(tasks)
      .groupBy(tasks.state);
    for (const row of rows) counted[row.state] = row.tasks;
    return counted;
  }

  /** How many tasks wait; counts no further than asked. */
  async queued(most: number): Promise<number> {
    const some = this.records
      .select({ one: sql`1` })
      .from(tasks)
      .where(eq(tasks.state, "queued"))
      .limit(most)
      .as("some");
    const [row] = await this.records.select({ queued: count() }).from(some);
    return row?.queued ?? 0;
  }
}

const summaryOf = (row: Pick<TaskRow, keyof typeof SUMMARY>): TaskSummary => ({
  id: row.id,
  description: row.description,
  family: row.family,
  domain: row.domain,
  state: row.state,
  priority: row.priority,
  labels: row.labels,
  attempt: row.attempt,
  createdAt: row.createdAt.toISOString(),
  startedAt: row.startedAt?.toISOString() ?? null,
  endedAt: row.endedAt?.toISOString() ?? null,
});

const attemptOf = (row: AttemptRow): Task["attempts"][number] => ({
  number: row.number,
  decision: row.decision,
  resources: row.resources,
  vm: row.vm,
  node: row.node,
  steps: row.steps,
  outcome: row.outcome,
  exitCode: row.exitCode,
  peakMib: row.peakMib,
  cpuSeconds: row.cpuSeconds,
  wallSeconds: row.wallSeconds,
  startedAt: row.startedAt.toISOString(),
  endedAt: row.endedAt?.toISOString() ?? null,
});
