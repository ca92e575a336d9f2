import type { Image, Task, Vm } from "@queztl/api";
import { sql } from "drizzle-orm";
import {
  bigint,
  boolean,
  customType,
  doublePrecision,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  timestamp,
  uniqueIndex,
} from "drizzle-orm/pg-core";

type TaskAttempt = Task["attempts"][number];

const time = () => timestamp({ withTimezone: true, mode: "date", precision: 3 });
const bytes = () => bigint({ mode: "number" });

const bytea = customType<{ data: Uint8Array; driverData: Uint8Array }>({
  dataType: () => "bytea",
});

/** Settings that were stored with `config.set`. */
export const settings = pgTable("settings", {
  key: text().primaryKey(),
  value: jsonb().$type<string | number | boolean>().notNull(),
  updatedAt: time().notNull(),
});

/** API tokens; of a secret only its SHA-256 is kept. */
export const tokens = pgTable(
  "tokens",
  {
    id: text().primaryKey(),
    name: text().notNull(),
    scopes: jsonb().$type<string[]>().notNull(),
    hash: text().notNull(),
    createdAt: time().notNull(),
    createdBy: text(),
    expiresAt: time(),
    lastUsedAt: time(),
    revokedAt: time(),
  },
  (table) => [uniqueIndex("tokens_hash").on(table.hash)],
);

/** What happened; also the audit trail: `actor` is the token that caused it. */
export const events = pgTable(
  "events",
  {
    id: bigint({ mode: "number" }).primaryKey().generatedAlwaysAsIdentity(),
    at: time().notNull(),
    topic: text().notNull(),
    type: text().notNull(),
    subject: text(),
    name: text(),
    message: text().notNull(),
    details: jsonb().$type<Record<string, string | number | boolean>>().notNull(),
    actor: text(),
    requestId: text(),
  },
  (table) => [index("events_at").on(table.at)],
);

/** Computers that VMs run on. */
export const nodes = pgTable(
  "nodes",
  {
    id: text().primaryKey(),
    name: text().notNull(),
    state: text().$type<"ready" | "draining" | "unreachable">().notNull(),
    cordoned: boolean().notNull(),
    cpu: integer().notNull(),
    memoryMib: integer().notNull(),
    gpu: integer().notNull(),
    diskMib: integer().notNull(),
    labels: jsonb().$type<Record<string, string>>().notNull(),
    addedAt: time().notNull(),
    lastSeenAt: time().notNull(),
  },
  (table) => [uniqueIndex("nodes_name").on(table.name)],
);

/** Virtual machines; destroyed ones too, for as long as they are remembered. */
export const vms = pgTable(
  "vms",
  {
    id: text().primaryKey(),
    name: text().notNull(),
    state: text().$type<Vm["state"]>().notNull(),
    purpose: text(),
    cpu: integer().notNull(),
    memoryMib: integer().notNull(),
    gpu: integer().notNull(),
    diskMib: integer().notNull(),
    image: text().notNull(),
    engine: text().$type<Vm["engine"]>().notNull(),
    node: text().notNull(),
    ports: jsonb().$type<Vm["ports"]>().notNull(),
    labels: jsonb().$type<Record<string, string>>().notNull(),
    task: text(),
    parent: text(),
    decision: text(),
    problem: jsonb().$type<NonNullable<Vm["problem"]>>(),
    createdAt: time().notNull(),
    startedAt: time(),
  },
  (table) => [
    uniqueIndex("vms_name")
      .on(table.name)
      .where(sql`state <> 'destroyed'`),
    index("vms_state").on(table.state, table.id),
  ],
);

/** Whole states of VMs that were kept. */
export const snapshots = pgTable(
  "snapshots",
  {
    id: text().primaryKey(),
    vm: text().notNull(),
    name: text().notNull(),
    bytes: bytes().notNull(),
    createdAt: time().notNull(),
  },
  (table) => [uniqueIndex("snapshots_name").on(table.vm, table.name)],
);

/** What a task's user asked for beside what lists show. */
export interface TaskInput {
  readonly data?: unknown;
  readonly image?: string;
  readonly command?: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly request?: Readonly<Record<string, number | undefined>>;
  readonly limits?: Readonly<Record<string, number | undefined>>;
  readonly family?: string;
}

/** Tasks. A task with state `queued` has a job in the queue, or gets one when the server next looks. */
export const tasks = pgTable(
  "tasks",
  {
    id: text().primaryKey(),
    description: text().notNull(),
    family: text(),
    domain: text(),
    state: text().$type<Task["state"]>().notNull(),
    priority: integer().notNull(),
    labels: jsonb().$type<Record<string, string>>().notNull(),
    input: jsonb().$type<TaskInput>().notNull(),
    deadline: time(),
    attemptsAllowed: integer().notNull(),
    /** Attempts begun before the last `task.retry`; they count no more against `attemptsAllowed`. */
    attemptsForgiven: integer().notNull(),
    attempt: integer().notNull(),
    idempotencyKey: text(),
    cancelReason: text(),
    result: jsonb().$type<{ value: unknown }>(),
    problem: jsonb().$type<NonNullable<Task["problem"]>>(),
    learned: jsonb().$type<string[]>().notNull(),
    createdBy: text().notNull(),
    createdAt: time().notNull(),
    startedAt: time(),
    endedAt: time(),
  },
  (table) => [
    uniqueIndex("tasks_idempotency").on(table.createdBy, table.idempotencyKey),
    index("tasks_state").on(table.state, table.id),
    index("tasks_family").on(table.family, table.id),
  ],
);

/** A step as it is kept: when it began, and how long it took. */
export interface StoredStep {
  readonly step: TaskAttempt["steps"][number]["step"];
  readonly state: TaskAttempt["steps"][number]["state"];
  readonly milliseconds: number | null;
}

/** Runs of tasks. The row is there before anything is started for it, so that a new server finds it. */
export const attempts = pgTable(
  "attempts",
  {
    task: text().notNull(),
    number: integer().notNull(),
    decision: text(),
    resources: jsonb().$type<NonNullable<TaskAttempt["resources"]>>(),
    vm: text(),
    node: text(),
    steps: jsonb().$type<StoredStep[]>().notNull(),
    outcome: text().$type<NonNullable<TaskAttempt["outcome"]>>(),
    exitCode: integer(),
    peakMib: doublePrecision(),
    cpuSeconds: doublePrecision(),
    wallSeconds: doublePrecision(),
    startedAt: time().notNull(),
    /** When the program was started in the guest: the time limit counts from here. */
    runningAt: time(),
    endedAt: time(),
  },
  (table) => [primaryKey({ columns: [table.task, table.number] })],
);

/** Files that came with a task, and those that it left. Their bytes lie under `tasks/TASK/`. */
export const taskFiles = pgTable(
  "task_files",
  {
    task: text().notNull(),
    kind: text().$type<"input" | "result">().notNull(),
    name: text().notNull(),
    /** The name of its bytes on disk: never what a user or guest chose. */
    stored: text().notNull(),
    bytes: bytes().notNull(),
    sha256: text().notNull(),
    mode: integer().notNull(),
  },
  (table) => [primaryKey({ columns: [table.task, table.kind, table.name] })],
);

/** Files on their way to or from the server. Their bytes lie under `files/`. */
export const files = pgTable(
  "files",
  {
    id: text().primaryKey(),
    name: text().notNull(),
    bytes: bytes().notNull(),
    received: bytes().notNull(),
    sha256: text(),
    expectedSha256: text(),
    createdAt: time().notNull(),
    expiresAt: time().notNull(),
  },
  (table) => [index("files_expires").on(table.expiresAt)],
);

/** Images that were asked for here: how building or importing them went. */
export const images = pgTable("images", {
  name: text().primaryKey(),
  state: text().$type<Image["state"]>().notNull(),
  problem: jsonb().$type<NonNullable<Image["problem"]>>(),
  createdAt: time().notNull(),
});

/** Decisions of the brain with all that is needed to repeat them. */
export const decisions = pgTable(
  "decisions",
  {
    id: text().primaryKey(),
    at: time().notNull(),
    task: text(),
    attempt: integer().notNull(),
    body: jsonb().$type<unknown>().notNull(),
  },
  (table) => [index("decisions_task").on(table.task, table.attempt)],
);

/** Runs that the brain remembers. */
export const experiences = pgTable("experiences", {
  id: text().primaryKey(),
  at: doublePrecision().notNull(),
  family: text().notNull(),
  body: jsonb().$type<unknown>().notNull(),
  /** Float32, little-endian. */
  embedding: bytea().notNull(),
});

/** The brain's models; one row. */
export const brainState = pgTable("brain_state", {
  id: integer().primaryKey(),
  savedAt: time().notNull(),
  body: jsonb().$type<unknown>().notNull(),
});

/** What the optimisation cycle did, why, and what came of it. */
export const actions = pgTable(
  "actions",
  {
    id: text().primaryKey(),
    at: time().notNull(),
    kind: text().notNull(),
    subject: text().notNull(),
    value: doublePrecision().notNull(),
    reason: text().notNull(),
    expectedGain: doublePrecision().notNull(),
    realisedGain: doublePrecision(),
    done: boolean().notNull(),
    effect: text(),
  },
  (table) => [index("actions_at").on(table.at)],
);
