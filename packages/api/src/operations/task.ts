import { fileChunk } from "../schemas/bytes.ts";
import { logChunk } from "../schemas/logs.ts";
import { pageOf } from "../schemas/page.ts";
import * as schema from "../schemas/task.ts";
import { refuseGpus } from "./gpu-refusal.ts";
import { mutation, query, subscription } from "./operation.ts";

const task = "task-1";
const read = { scope: "task:read" } as const;
const write = { scope: "task:write" } as const;

export const taskOperations = {
  submit: mutation({
    ...write,
    summary: "Submit a task; the brain decides what it gets",
    input: schema.taskSubmitInput,
    output: schema.taskOutput,
    rest: { method: "POST", path: "/v1/tasks", status: 201 },
    example: {
      description: "Process mining MAG survey",
      data: { survey_id: "MAG-001", points: 50_000 },
      files: [{ name: "survey.csv", data: "eCx5LHoK" }],
      priority: 10,
    },
    refuse: ({ request }, situation) => refuseGpus(request?.gpu, situation),
  }),
  list: query({
    ...read,
    summary: "List tasks, the newest first",
    input: schema.taskListInput,
    output: pageOf(schema.taskSummary),
    rest: { method: "GET", path: "/v1/tasks" },
    example: { states: ["queued", "running"] },
  }),
  get: query({
    ...read,
    summary: "Show a task with its attempts and its result",
    input: schema.taskInput,
    output: schema.taskOutput,
    rest: { method: "GET", path: "/v1/tasks/{task}" },
    example: { task },
  }),
  logs: query({
    ...read,
    summary: "Show what a task wrote",
    input: schema.taskLogsInput,
    output: pageOf(logChunk),
    rest: { method: "GET", path: "/v1/tasks/{task}/logs" },
    example: { task, streams: ["stdout", "stderr"] },
  }),
  followLogs: subscription({
    ...read,
    summary: "Follow what a task writes, to its end",
    input: schema.taskFollowLogsInput,
    output: logChunk,
    rest: { method: "GET", path: "/v1/tasks/{task}/logs/follow" },
    example: { task },
  }),
  cancel: mutation({
    ...write,
    summary: "Cancel a task; a running one is stopped",
    input: schema.taskCancelInput,
    output: schema.taskOutput,
    rest: { method: "POST", path: "/v1/tasks/{task}/cancel" },
    example: { task, reason: "the wrong survey" },
  }),
  retry: mutation({
    ...write,
    summary: "Queue a failed or cancelled task again",
    input: schema.taskInput,
    output: schema.taskOutput,
    rest: { method: "POST", path: "/v1/tasks/{task}/retry" },
    example: { task },
  }),
  files: query({
    ...read,
    summary: "List the files that a task has left",
    input: schema.taskFilesInput,
    output: pageOf(schema.resultFile),
    rest: { method: "GET", path: "/v1/tasks/{task}/files" },
    example: { task },
  }),
  readFile: query({
    ...read,
    summary: "Read a file that a task has left, a piece a call",
    input: schema.taskReadFileInput,
    output: fileChunk,
    rest: { method: "GET", path: "/v1/tasks/{task}/files/content" },
    example: { task, name: "grid.tif" },
  }),
};
