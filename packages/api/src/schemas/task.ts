import { z } from "zod";
import { base64, chunkRange, sha256 } from "./bytes.ts";
import { jsonData } from "./json-data.ts";
import { logInput } from "./logs.ts";
import { amount, bytes, count, share } from "./numbers.ts";
import { pageInput } from "./page.ts";
import { problem } from "./problem.ts";
import { decidedResources, resourceLimits, resourceWishes } from "./resources.ts";
import {
  command,
  environment,
  family,
  id,
  imageReference,
  labels,
  reference,
  relativePath,
  someText,
  text,
  time,
} from "./text.ts";

/** What a task can be doing. */
export const TASK_STATES = [
  "queued",
  "preparing",
  "running",
  "succeeded",
  "failed",
  "cancelled",
] as const;

/** The steps of a task's way, in their order. */
export const TASK_STEPS = [
  "analyse",
  "estimate",
  "place",
  "vm",
  "agent",
  "run",
  "collect",
  "learn",
] as const;

/** How an attempt can end. */
export const TASK_OUTCOMES = ["ok", "oom", "timeout", "cancelled", "failed", "lost"] as const;

const taskState = z.enum(TASK_STATES);
const task = { task: id.describe("The task's id") };

/** A file that comes with a task: its bytes, or a file that was sent before. */
export const taskFileInput = z
  .strictObject({
    name: relativePath.describe("Where it lies for the task, relative to its directory"),
    data: base64.optional().describe("Its bytes as base64"),
    file: id.optional().describe("The id of a file sent with file.create and file.write"),
  })
  .refine(({ data, file }) => (data === undefined) !== (file === undefined), {
    error: "give either data or file",
  })
  .meta({ id: "TaskFileInput", description: "A file that comes with a task" });

export const taskSubmitInput = z
  .strictObject({
    description: someText(16_384).describe("What is to be done, in your words"),
    family: family
      .optional()
      .describe("The kind of task, such as a skill's name, where you know it"),
    data: jsonData.optional().describe("Parameters: any JSON value"),
    files: z
      .array(taskFileInput)
      .max(256)
      .refine((files) => new Set(files.map((file) => file.name)).size === files.length, {
        error: "two files have the same name",
      })
      .default([])
      .describe("Files it works on"),
    image: imageReference
      .optional()
      .describe("The image to run in; the brain's choice unless given"),
    command: command
      .optional()
      .describe("The program and its arguments; the matching skill unless given"),
    environment: environment.default({}).describe("Environment variables"),
    request: resourceWishes
      .optional()
      .describe("What you believe it needs: a hint while nothing is known"),
    limits: resourceLimits.optional().describe("What it may have at most"),
    deadline: time.optional().describe("When it must be done; it is stopped then"),
    priority: z
      .int()
      .min(-1000)
      .max(1000)
      .default(0)
      .describe("Tasks with a higher one are started first"),
    attempts: z.int().min(1).max(10).default(3).describe("How often it may be tried at most"),
    labels: labels.default({}).describe("Labels of yours"),
    idempotencyKey: someText(128)
      .optional()
      .describe("A second submission with the same key answers with the first one's task"),
  })
  .meta({ id: "TaskSubmit", description: "Work to be done in a VM of its own" });

export const taskListInput = z.strictObject({
  ...pageInput,
  states: z
    .array(taskState)
    .min(1)
    .max(TASK_STATES.length)
    .optional()
    .describe("Only in these states; all unless given"),
  family: family.optional().describe("Only of this kind"),
});

export const taskInput = z.strictObject(task);

export const taskCancelInput = z.strictObject({
  ...task,
  reason: text(500).optional().describe("Why, for whoever looks later"),
});

export const taskLogsInput = z.strictObject({ ...task, ...logInput, ...pageInput });

export const taskFollowLogsInput = z.strictObject({
  ...task,
  ...logInput,
  lastEventId: id.optional().describe("Resume after this piece"),
});

export const taskFilesInput = z.strictObject({ ...task, ...pageInput });

export const taskReadFileInput = z.strictObject({
  ...task,
  name: relativePath.describe("The result file's name"),
  ...chunkRange,
});

const summary = {
  id: id.describe("Its id"),
  description: text(16_384).describe("What is to be done"),
  family: family.nullable().describe("The kind of task, as the brain sees it"),
  domain: id.nullable().describe("What it is about, as the brain sees it"),
  state: taskState.describe("What it is doing"),
  priority: z.int().min(-1000).max(1000).describe("Tasks with a higher one are started first"),
  labels: labels.describe("Its user's labels"),
  attempt: count.describe("The attempt it is at; 0 before the first"),
  createdAt: time.describe("When it was submitted"),
  startedAt: time.nullable().describe("When its first attempt began"),
  endedAt: time.nullable().describe("When it was over"),
};

/** A task as a list shows it. */
export const taskSummary = z
  .object(summary)
  .meta({ id: "TaskSummary", description: "A task as a list shows it" });

const step = z
  .object({
    step: z.enum(TASK_STEPS).describe("Which step"),
    state: z.enum(["waiting", "running", "done", "failed"]).describe("How far it is"),
    milliseconds: amount.nullable().describe("How long it took; null until it is over"),
  })
  .meta({ id: "TaskStep", description: "A step of an attempt" });

const attempt = z
  .object({
    number: z.int().min(1).describe("Which attempt, from 1"),
    decision: id.nullable().describe("The brain's decision; see brain.explain"),
    resources: decidedResources.nullable().describe("What it was given"),
    vm: id.nullable().describe("The VM it ran in"),
    node: reference.nullable().describe("The node it ran on"),
    steps: z.array(step).max(TASK_STEPS.length).describe("How far it got"),
    outcome: z.enum(TASK_OUTCOMES).nullable().describe("How it ended; null while it runs"),
    exitCode: z.int().min(0).max(255).nullable().describe("The program's exit status"),
    peakMib: amount.nullable().describe("The most memory it used, in MiB"),
    cpuSeconds: amount.nullable().describe("Processor time it used"),
    wallSeconds: amount.nullable().describe("How long it ran"),
    startedAt: time.describe("When it began"),
    endedAt: time.nullable().describe("When it was over"),
  })
  .meta({ id: "TaskAttempt", description: "One run of a task" });

/** How far a task says it is. */
export const taskProgress = z
  .object({
    done: share.describe("What part of the work is done"),
    step: text(500).describe("The step it is at"),
    message: text(500).describe("What it has to say about it"),
  })
  .meta({ id: "TaskProgress", description: "How far a task says it is" });

/** A task with all that is known of it. */
export const taskOutput = z
  .object({
    ...summary,
    data: jsonData.optional().describe("Its parameters, as submitted"),
    image: imageReference.nullable().describe("The image its user insisted on"),
    command: command.nullable().describe("The program its user insisted on"),
    limits: resourceLimits.nullable().describe("What it may have at most"),
    deadline: time.nullable().describe("When it must be done"),
    attempts: z.array(attempt).max(100).describe("Its runs, the first one first"),
    result: jsonData.optional().describe("What it answered: any JSON value"),
    problem: problem.nullable().describe("Why it failed"),
    progress: taskProgress
      .nullable()
      .describe(
        "How far its skill says it is, or what its VM still needs; null where there is nothing to say",
      ),
    learned: z.array(text(500)).max(32).describe("What the brain learned from it"),
  })
  .meta({ id: "Task", description: "Work to be done in a VM of its own" });

/** A file that a task has left. */
export const resultFile = z
  .object({
    name: relativePath.describe("Its path in the task's result directory"),
    bytes: bytes.describe("Its size"),
    sha256: sha256.describe("SHA-256 of its bytes"),
  })
  .meta({ id: "ResultFile", description: "A file that a task has left" });
