import type { ServiceOf, Task } from "@queztl/api";
import { and, eq, inArray } from "drizzle-orm";
import type { Settings } from "../config/settings.ts";
import { taskFiles, tasks } from "../database/schema.ts";
import { serverErrors } from "../errors.ts";
import type { EventLog } from "../events/event-log.ts";
import { type Files, readPart } from "../files/files.ts";
import { sortableId } from "../sortable-id.ts";
import { TaskFolder } from "./task-folder.ts";
import type { TaskLogs } from "./task-logs.ts";
import type { TaskQueue } from "./task-queue.ts";
import { LIVE_STATES, type TaskRecords, type TaskRow } from "./task-records.ts";
import type { TaskRunner } from "./task-runner.ts";

/** What the tasks' service is made of. */
export interface TaskServiceParts {
  readonly home: string;
  readonly records: TaskRecords;
  readonly queue: TaskQueue;
  readonly runner: TaskRunner;
  readonly logs: TaskLogs;
  readonly files: Files;
  readonly events: EventLog;
  readonly settings: Settings;
}

const MOST_QUEUED_CHECKED_EACH_MS = 1000;

/** The API's side of tasks. */
export function createTaskService(parts: TaskServiceParts): ServiceOf<"task"> {
  const { home, records, queue, runner, logs, files, events, settings } = parts;
  let queued = { count: 0, at: 0 };

  /** Refuses work rather than drown in it. */
  async function admit(): Promise<void> {
    const most = settings.get("queue.most");
    const now = Date.now();
    if (now - queued.at > MOST_QUEUED_CHECKED_EACH_MS) {
      queued = { count: await records.queued(most), at: now };
    }
    if (queued.count >= most) throw serverErrors("QZ_SERVER_QUEUE_FULL", { queued: queued.count });
    queued.count += 1;
  }

  async function known(createdBy: string, key: string): Promise<TaskRow | undefined> {
    const [row] = await records.records
      .select()
      .from(tasks)
      .where(and(eq(tasks.createdBy, createdBy), eq(tasks.idempotencyKey, key)));
    return row;
  }

  return {
    async submit(input, { principal, requestId }) {
      const { description, priority, labels, idempotencyKey } = input;
      const createdBy = principal.tokenId;
      if (idempotencyKey !== undefined) {
        const before = await known(createdBy, idempotencyKey);
        if (before !== undefined) return records.shown(before);
      }
      await admit();
      const id = sortableId("task");
      const folder = new TaskFolder(home, id);
      const kept = {
        ...(input.data === undefined ? {} : { data: input.data }),
        ...(input.image === undefined ? {} : { image: input.image }),
        ...(input.command === undefined ? {} : { command: input.command }),
        ...(input.family === undefined ? {} : { family: input.family }),
        environment: input.environment,
      };
      let inputs: Awaited<ReturnType<TaskFolder["keepInputs"]>>;
      try {
        inputs = await folder.keepInputs(input.files, files);
        await runner.check({ description, input: kept, files: folder.planned(inputs) }, input);
      } catch (cause) {
        await folder.remove();
        throw cause;
      }
      const row: TaskRow = {
        id,
        description,
        family: input.family ?? null,
        domain: null,
        state: "queued",
        priority,
        labels,
        input: {
          ...kept,
          ...(input.request === undefined ? {} : { request: input.request }),
          ...(input.limits === undefined ? {} : { limits: input.limits }),
        },
        deadline: input.deadline === undefined ? null : new Date(input.deadline),
        attemptsAllowed: input.attempts,
        attemptsForgiven: 0,
        attempt: 0,
        idempotencyKey: idempotencyKey ?? null,
        cancelReason: null,
        result: null,
        problem: null,
        learned: [],
        createdBy,
        createdAt: new Date(),
        startedAt: null,
        endedAt: null,
      };
      const inserted = await records.records.transaction(async (records) => {
        const [made] = await records.insert(tasks).values(row).onConflictDoNothing().returning();
        if (made === undefined) return false;
        if (inputs.length > 0) await records.insert(taskFiles).values(inputs);
        await queue.add(records, [{ id, priority }]);
        return true;
      });
      if (!inserted) {
        // The same key came twice at once: the other one's task is the answer.
        await folder.remove();
        const before = await known(createdBy, idempotencyKey ?? "");
        if (before === undefined)
          throw serverErrors("QZ_SERVER_NOT_FOUND", { kind: "task", wanted: id });
        return records.shown(before);
      }
      runner.wake();
      await events.record({
        type: "task.submitted",
        subject: id,
        message: description.slice(0, 500),
        details: { priority },
        actor: createdBy,
        requestId,
      });
      return records.shown(row);
    },

    list: (input) => records.list(input),
    get: ({ task }) => records.get(task),

    async logs({ task, streams, tail, limit, cursor }) {
      await records.row(task);
      const { items, next } = await logs.of(task).read({ streams, tail, after: cursor }, limit);
      return { items, nextCursor: next };
    },

    async *followLogs({ task, streams, tail, lastEventId }, { signal }) {
      const row = await records.row(task);
      const log = logs.of(task);
      if (!isLive(row.state)) await log.end();
      yield* log.follow({ streams, tail, after: lastEventId }, signal);
    },

    async cancel({ task, reason }, { principal, requestId }) {
      const row = await records.row(task);
      if (row.state === "cancelled") return records.shown(row);
      const [cancelled] = await records.records
        .update(tasks)
        .set({ state: "cancelled", endedAt: new Date(), cancelReason: reason ?? null })
        .where(and(eq(tasks.id, task), inArray(tasks.state, [...LIVE_STATES])))
        .returning();
      if (cancelled === undefined) {
        const { state } = await records.row(task);
        const needed = "queued, preparing or running";
        throw serverErrors("QZ_SERVER_STATE", { kind: "task", id: task, state, needed });
      }
      runner.stopAttempt(task);
      const said = reason === undefined ? "cancelled" : `cancelled: ${reason}`;
      await logs.of(task).say("system", `${said}\n`);
      await events.record({
        type: "task.cancelled",
        subject: task,
        message: said,
        actor: principal.tokenId,
        requestId,
      });
      if (row.state === "queued") await logs.close(task);
      return records.shown(cancelled);
    },

    async retry({ task }, { principal, requestId }) {
      const row = await records.row(task);
      const changed = await records.records.transaction(async (records) => {
        const [queuedAgain] = await records
          .update(tasks)
          .set({
            state: "queued",
            attemptsForgiven: row.attempt,
            endedAt: null,
            problem: null,
            result: null,
            learned: [],
            cancelReason: null,
          })
          .where(and(eq(tasks.id, task), inArray(tasks.state, ["failed", "cancelled"])))
          .returning();
        if (queuedAgain !== undefined) await queue.add(records, [queuedAgain]);
        return queuedAgain;
      });
      if (changed === undefined) {
        const { state } = await records.row(task);
        throw serverErrors("QZ_SERVER_STATE", {
          kind: "task",
          id: task,
          state,
          needed: "failed or cancelled",
        });
      }
      logs.reopen(task);
      runner.wake();
      await events.record({
        type: "task.retried",
        subject: task,
        message: "queued again",
        actor: principal.tokenId,
        requestId,
      });
      return records.shown(changed);
    },

    async files({ task, limit, cursor }) {
      await records.row(task);
      const rows = await records.files(task, "result");
      const from = /^\d{1,9}$/.test(cursor ?? "") ? Number(cursor) : 0;
      const items = rows
        .slice(from, from + limit)
        .map(({ name, bytes, sha256 }) => ({ name, bytes, sha256 }));
      return { items, nextCursor: from + limit < rows.length ? String(from + limit) : null };
    },

    async readFile({ task, name, offset, length }) {
      await records.row(task);
      const [row] = await records.records
        .select()
        .from(taskFiles)
        .where(
          and(eq(taskFiles.task, task), eq(taskFiles.kind, "result"), eq(taskFiles.name, name)),
        );
      if (row === undefined)
        throw serverErrors("QZ_SERVER_NOT_FOUND", { kind: "file", wanted: name });
      const wanted = Math.max(0, Math.min(length, row.bytes - offset));
      const data = await readPart(new TaskFolder(home, task).pathOf(row), offset, wanted);
      return { data: data.toString("base64"), offset, bytes: row.bytes };
    },
  };
}

export const isLive = (state: Task["state"]): boolean =>
  (LIVE_STATES as readonly string[]).includes(state);
