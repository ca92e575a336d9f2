import { z } from "zod";

/** One setting: where it may come from, what it is unless set, and what it does. */
export interface SettingRow {
  readonly schema: z.ZodType<string | number | boolean>;
  readonly default: string | number | boolean | undefined;
  readonly description: string;
  /** Its environment variable; `QUEZTL_` and the name unless given. */
  readonly environment?: string;
  /** Whether it is needed before the database is open, and so cannot be stored there. */
  readonly outside?: true;
  /** Never shown. */
  readonly secret?: true;
  /** Whether a change counts only from the next start on. */
  readonly restart?: true;
}

const text = z.string().min(1).max(4096);
const count = (least: number, most: number) => z.int().min(least).max(most);
const amount = (least: number, most: number) => z.number().min(least).max(most);

/** Every setting of the server, by name. Names in the file, flags (`--a.b`) and `config.set` are the same. */
export const SETTINGS = {
  home: {
    schema: text,
    default: undefined,
    environment: "QUEZTL_HOME",
    outside: true,
    description: "The folder of everything kept on this computer; ~/.queztl unless given",
  },
  cache: {
    schema: text,
    default: undefined,
    environment: "QUEZTL_CACHE",
    outside: true,
    description: "Where an initialised database is kept for new homes; HOME/cache unless given",
  },
  "database.url": {
    schema: text.regex(/^postgres(?:ql)?:\/\//, { error: "must begin with postgres://" }),
    default: undefined,
    environment: "DATABASE_URL",
    outside: true,
    secret: true,
    description: "A Postgres to keep records in; an embedded one under HOME unless given",
  },
  "database.connections": {
    schema: count(1, 100),
    default: 8,
    outside: true,
    restart: true,
    description: "Connections to Postgres at most",
  },
  host: {
    schema: text,
    default: "127.0.0.1",
    outside: true,
    description: "The address to listen on; only this computer reaches the default",
  },
  port: {
    schema: count(0, 65_535),
    default: 7070,
    outside: true,
    description: "The port to listen on; 0 takes a free one",
  },
  "log.level": {
    schema: z.enum(["trace", "debug", "info", "warn", "error", "silent"]),
    default: "info",
    outside: true,
    description: "The least important log lines that are written",
  },
  "cors.origins": {
    schema: z.string().max(4096),
    default: "",
    outside: true,
    description: "Web origins that may call from a browser, with commas between; none unless given",
  },
  "metrics.open": {
    schema: z.boolean(),
    default: false,
    outside: true,
    description: "Whether /metrics needs no token",
  },
  "limits.requestsPerMinute": {
    schema: count(1, 100_000_000),
    default: 60_000,
    restart: true,
    description: "Requests a minute for each token or, without one, each address",
  },
  "limits.refusalsPerMinute": {
    schema: count(1, 1_000_000),
    default: 600,
    restart: true,
    description: "Refused tokens a minute for each address, before it has to wait",
  },
  "limits.bodyMib": {
    schema: count(1, 64),
    default: 16,
    restart: true,
    description: "The largest body of a request in MiB",
  },
  "limits.filesMib": {
    schema: count(1, 16_777_216),
    default: 10_240,
    description: "Room for files on their way to and from the server, in MiB",
  },
  "node.cpu": {
    schema: count(1, 1024),
    default: undefined,
    outside: true,
    description: "Processors that VMs may have together; twice the computer's unless given",
  },
  "node.memoryMib": {
    schema: count(64, 16_777_216),
    default: undefined,
    outside: true,
    description: "Memory that VMs may have together, in MiB; 3/4 of the computer's unless given",
  },
  "queue.most": {
    schema: count(1, 10_000_000),
    default: 100_000,
    description: "Tasks that may wait; further ones are refused",
  },
  "queue.pollMilliseconds": {
    schema: count(20, 60_000),
    default: 1000,
    restart: true,
    description: "How often the queue is looked at where nothing wakes the server",
  },
  "tasks.memoryMib": {
    schema: count(64, 16_777_216),
    default: 512,
    description: "What a task of an unknown kind is taken to ask for, in MiB",
  },
  "tasks.resultMib": {
    schema: count(1, 1_048_576),
    default: 1024,
    description: "The most that a task may leave as files, in MiB",
  },
  "tasks.logMib": {
    schema: count(1, 65_536),
    default: 64,
    description: "The most of a task's output that is kept, in MiB",
  },
  "brain.policy": {
    schema: z.enum(["cheap", "balanced", "safe"]),
    default: "balanced",
    restart: true,
    description: "Whether estimates save memory or avoid failures",
  },
  "optimize.everySeconds": {
    schema: count(1, 86_400),
    default: 60,
    description: "Seconds between two optimisations",
  },
  "optimize.apply": {
    schema: z.boolean(),
    default: true,
    description: "Whether the optimisation cycle acts by itself",
  },
  "optimize.templateDays": {
    schema: amount(0.001, 3650),
    default: 14,
    description: "Days after which a template that nothing was started from is dropped",
  },
  "vms.standby": {
    schema: count(0, 16),
    default: 1,
    description: "Processes at least that stand by to become a VM; forecasts may ask for more",
  },
  "vms.mostStandby": {
    schema: count(0, 16),
    default: 4,
    description: "Processes at most that stand by, whatever is forecast",
  },
  "optimize.idleVmMinutes": {
    schema: amount(0.1, 100_000),
    default: 5,
    description: "Minutes after which memory is taken back from a VM that does nothing",
  },
  "events.keepDays": {
    schema: amount(0.01, 3650),
    default: 30,
    description: "Days that events are kept",
  },
  "stop.graceSeconds": {
    schema: amount(0, 3600),
    default: 10,
    description: "How long requests may go on when the server stops",
  },
} as const satisfies Record<string, SettingRow>;

/** A setting's name. */
export type SettingKey = keyof typeof SETTINGS;

/** A setting's value: what its schema gives; undefined only where there is no default. */
export type SettingValue<Key extends SettingKey> =
  | z.output<(typeof SETTINGS)[Key]["schema"]>
  | ((typeof SETTINGS)[Key]["default"] extends undefined ? undefined : never);

/** Where a value comes from, the strongest last. */
export type SettingSource = "default" | "stored" | "file" | "environment" | "flag";

/** The rows with their general type. */
export const settingRows: ReadonlyMap<string, SettingRow> = new Map(Object.entries(SETTINGS));

/** The environment variable of a setting: its own, or `QUEZTL_OPTIMIZE_EVERY_SECONDS` and the like. */
export function environmentName(key: string, { environment }: SettingRow): string {
  return (
    environment ?? `QUEZTL_${key.replace(/([A-Z])/g, "_$1").replaceAll(".", "_")}`.toUpperCase()
  );
}
