import type { ApiEvent, ServiceOf } from "@queztl/api";
import { and, asc, gt, lt, max } from "drizzle-orm";
import type { Records } from "../database/database.ts";
import { events } from "../database/schema.ts";

type Row = typeof events.$inferSelect;
type Topic = ApiEvent["topic"];

/** Something that happened, as it is handed in. */
export interface NewEvent {
  /** `topic.what-happened`; its topic is the part before the first dot. */
  readonly type: `${Exclude<Topic, "gap">}.${string}`;
  readonly subject?: string | null;
  readonly name?: string | null;
  readonly message: string;
  readonly details?: Readonly<Record<string, string | number | boolean>>;
  /** The token that caused it; audit. */
  readonly actor?: string;
  readonly requestId?: string;
}

// Events of the last minutes, so that following them asks no database.
const MOST_RECENT = 2000;
const LONGEST_MESSAGE = 2000;
const LONGEST_DETAIL = 1000;
const PAGE = 500;

/** What happened: kept in the database, told to whoever follows, in one order. */
export class EventLog {
  readonly #records: Records;
  readonly #onEvent: (event: Row) => void;
  readonly #recent: Row[] = [];
  readonly #waiting = new Set<() => void>();
  /** Events that wait for the next write, which takes all of them. */
  #pending: {
    readonly values: typeof events.$inferInsert;
    readonly done: () => void;
    readonly failed: (cause: unknown) => void;
  }[] = [];
  #writing: Promise<void> = Promise.resolve();
  #busy = false;

  constructor(records: Records, onEvent: (event: Row) => void = () => undefined) {
    this.#records = records;
    this.#onEvent = onEvent;
  }

  /** Keeps an event; resolves when it is kept and told. */
  record(event: NewEvent): Promise<void> {
    const { type, subject = null, name = null, message, details = {}, actor, requestId } = event;
    const values = {
      at: new Date(),
      topic: type.slice(0, type.indexOf(".")),
      type,
      subject,
      name,
      message: message.slice(0, LONGEST_MESSAGE),
      details: Object.fromEntries(
        Object.entries(details).map(([key, value]) => [
          key,
          typeof value === "string" ? value.slice(0, LONGEST_DETAIL) : value,
        ]),
      ),
      actor: actor ?? null,
      requestId: requestId ?? null,
    };
    return new Promise((done, failed) => {
      this.#pending.push({ values, done, failed });
      if (this.#busy) return;
      this.#busy = true;
      this.#writing = this.#write();
    });
  }

  /** Waits until all that was recorded is kept. */
  async flush(): Promise<void> {
    await this.#writing;
  }

  /** Forgets events of before. */
  async prune(before: Date): Promise<void> {
    await this.#records.delete(events).where(lt(events.at, before));
  }

  readonly service: ServiceOf<"events"> = {
    subscribe: ({ topics, subject, lastEventId }, { signal }) =>
      this.#follow(
        lastEventId,
        (event) =>
          event.topic === "gap" ||
          ((topics?.includes(event.topic as Topic) ?? true) &&
            (subject === undefined || event.subject === subject)),
        signal,
      ),
  };

  async #write(): Promise<void> {
    // One turn of the loop later, so that what happens together is written together.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#pending.length > 0) {
      const batch = this.#pending.splice(0, PAGE);
      try {
        const rows = await this.#records
          .insert(events)
          .values(batch.map(({ values }) => values))
          .returning();
        rows.sort((a, b) => a.id - b.id);
        for (const row of rows) this.#tell(row);
        for (const { done } of batch) done();
      } catch (cause) {
        for (const { failed } of batch) failed(cause);
      }
    }
    // In the same turn as the last look, so that nothing is left waiting in between.
    this.#busy = false;
  }

  #tell(row: Row): void {
    this.#recent.push(row);
    if (this.#recent.length > MOST_RECENT) this.#recent.splice(0, MOST_RECENT / 2);
    this.#onEvent(row);
    for (const wake of this.#waiting) wake();
  }

  async *#follow(
    lastEventId: string | undefined,
    wanted: (event: Row) => boolean,
    signal: AbortSignal,
  ): AsyncGenerator<ApiEvent> {
    const newest = this.#recent.at(-1)?.id ?? (await this.#newest());
    let after = newest;
    if (lastEventId !== undefined) {
      const given = Number(/^event-(\d{1,15})$/.exec(lastEventId)?.[1] ?? Number.NaN);
      const known = given <= newest;
      if (!known || !(await this.#reaches(given))) yield gapAt(newest);
      else after = given;
    }
    while (!signal.aborted) {
      const rows = await this.#later(after);
      for (const row of rows) {
        after = row.id;
        if (wanted(row)) yield eventOf(row);
        if (signal.aborted) return;
      }
      if (rows.length === 0) await this.#next(after, signal);
    }
  }

  async #later(after: number): Promise<Row[]> {
    const [first] = this.#recent;
    if (first === undefined ? (await this.#newest()) <= after : first.id <= after + 1) {
      return this.#recent.filter(({ id }) => id > after);
    }
    return this.#records
      .select()
      .from(events)
      .where(gt(events.id, after))
      .orderBy(asc(events.id))
      .limit(PAGE);
  }

  async #newest(): Promise<number> {
    const [row] = await this.#records.select({ id: max(events.id) }).from(events);
    return row?.id ?? 0;
  }

  /** Whether nothing after an event was forgotten. */
  async #reaches(given: number): Promise<boolean> {
    const [row] = await this.#records
      .select({ id: events.id })
      .from(events)
      .where(and(gt(events.id, given - 1)))
      .orderBy(asc(events.id))
      .limit(1);
    return row === undefined || row.id === given;
  }

  #next(after: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted || (this.#recent.at(-1)?.id ?? 0) > after) return resolve();
      const wake = () => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake);
    });
  }
}

const eventOf = (row: Row): ApiEvent => ({
  id: `event-${row.id}`,
  at: row.at.toISOString(),
  topic: row.topic as Topic,
  type: row.type,
  subject: row.subject,
  name: row.name,
  message: row.message,
  details: row.details,
});

const gapAt = (newest: number): ApiEvent => ({
  id: `event-${newest}`,
  at: new Date().toISOString(),
  topic: "gap",
  type: "gap.lost",
  subject: null,
  name: null,
  message: "events were lost here; look at everything anew",
  details: {},
});
