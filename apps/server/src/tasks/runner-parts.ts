import type { Logger } from "pino";
import type { BrainHost } from "../brain/brain-host.ts";
import type { Settings } from "../config/settings.ts";
import type { EventLog } from "../events/event-log.ts";
import type { Reservations } from "../nodes/capacity.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Templates } from "../optimise/templates.ts";
import type { Fleet } from "../vms/fleet.ts";
import type { SkillLibrary } from "@queztl/skills/node";
import type { TaskLogs } from "./task-logs.ts";
import type { TaskQueue } from "./task-queue.ts";
import type { TaskRecords } from "./task-records.ts";

/** What running tasks needs of the server. */
export interface RunnerParts {
  readonly home: string;
  readonly records: TaskRecords;
  readonly queue: TaskQueue;
  readonly logs: TaskLogs;
  readonly brain: BrainHost;
  readonly fleet: Fleet;
  readonly reservations: Reservations;
  readonly templates: Templates;
  readonly settings: Settings;
  readonly events: EventLog;
  readonly metrics: Metrics;
  readonly skills: SkillLibrary;
  readonly log: Logger;
}
