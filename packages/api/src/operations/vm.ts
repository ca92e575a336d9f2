import { fileChunk } from "../schemas/bytes.ts";
import { logChunk } from "../schemas/logs.ts";
import { pageOf } from "../schemas/page.ts";
import * as schema from "../schemas/vm.ts";
import { refuseGpus } from "./gpu-refusal.ts";
import { mutation, query, subscription } from "./operation.ts";

const vm = "mining-1";
const read = { scope: "vm:read" } as const;
const write = { scope: "vm:write" } as const;
// Whoever looks into a guest or runs something there needs more than to see that it exists.
const enter = { scope: "vm:exec" } as const;

const one = { output: schema.vmOutput, example: { vm } } as const;

export const vmOperations = {
  create: mutation({
    ...write,
    summary: "Create a VM by its purpose or by its resources",
    input: schema.vmCreateInput,
    output: schema.vmOutput,
    rest: { method: "POST", path: "/v1/vms", status: 201 },
    example: { name: vm, cpu: 2, memoryMib: 512, ports: [{ guest: 80 }] },
    refuse: ({ gpu }, situation) => refuseGpus(gpu, situation),
  }),
  list: query({
    ...read,
    summary: "List VMs, the newest first",
    input: schema.vmListInput,
    output: pageOf(schema.vmOutput),
    rest: { method: "GET", path: "/v1/vms" },
    example: { states: ["running"], limit: 20 },
  }),
  get: query({
    ...read,
    ...one,
    summary: "Show a VM",
    input: schema.vmInput,
    rest: { method: "GET", path: "/v1/vms/{vm}" },
  }),
  start: mutation({
    ...write,
    ...one,
    summary: "Start a stopped or crashed VM; answers once it runs",
    input: schema.vmInput,
    rest: { method: "POST", path: "/v1/vms/{vm}/start" },
  }),
  stop: mutation({
    ...write,
    summary: "Shut a VM down, or cut its power; answers once it is off",
    input: schema.vmStopInput,
    output: schema.vmOutput,
    rest: { method: "POST", path: "/v1/vms/{vm}/stop" },
    example: { vm, graceSeconds: 10 },
  }),
  pause: mutation({
    ...write,
    ...one,
    summary: "Halt a running VM where it is",
    input: schema.vmInput,
    rest: { method: "POST", path: "/v1/vms/{vm}/pause" },
  }),
  resume: mutation({
    ...write,
    ...one,
    summary: "Let a paused VM go on",
    input: schema.vmInput,
    rest: { method: "POST", path: "/v1/vms/{vm}/resume" },
  }),
  reset: mutation({
    ...write,
    ...one,
    summary: "Press a VM's reset button: it boots anew and loses what is in memory",
    input: schema.vmInput,
    rest: { method: "POST", path: "/v1/vms/{vm}/reset" },
  }),
  destroy: mutation({
    ...write,
    summary: "Destroy a VM with its disks and snapshots",
    input: schema.vmDestroyInput,
    output: schema.vmOutput,
    rest: { method: "DELETE", path: "/v1/vms/{vm}" },
    example: { vm, force: true },
  }),
  snapshot: mutation({
    ...write,
    summary: "Keep the whole state of a VM",
    input: schema.vmSnapshotInput,
    output: schema.snapshotOutput,
    rest: { method: "POST", path: "/v1/vms/{vm}/snapshots", status: 201 },
    example: { vm, name: "before-upgrade" },
  }),
  snapshots: query({
    ...read,
    summary: "List the snapshots of a VM, the newest first",
    input: schema.vmSnapshotsInput,
    output: pageOf(schema.snapshotOutput),
    rest: { method: "GET", path: "/v1/vms/{vm}/snapshots" },
    example: { vm },
  }),
  removeSnapshot: mutation({
    ...write,
    summary: "Delete a snapshot",
    input: schema.vmSnapshotReference,
    output: schema.snapshotOutput,
    rest: { method: "DELETE", path: "/v1/vms/{vm}/snapshots/{snapshot}" },
    example: { vm, snapshot: "before-upgrade" },
  }),
  restore: mutation({
    ...write,
    summary: "Put a VM back to a snapshot; what came since is lost",
    input: schema.vmSnapshotReference,
    output: schema.vmOutput,
    rest: { method: "POST", path: "/v1/vms/{vm}/restore" },
    example: { vm, snapshot: "before-upgrade" },
  }),
  fork: mutation({
    ...write,
    summary: "Make a second VM of one as it is now, with an identity of its own",
    input: schema.vmForkInput,
    output: schema.vmOutput,
    rest: { method: "POST", path: "/v1/vms/{vm}/fork", status: 201 },
    example: { vm, name: "mining-2" },
  }),
  exec: mutation({
    ...enter,
    summary: "Run a program in a VM and collect what it writes",
    input: schema.vmExecInput,
    output: schema.execOutput,
    rest: { method: "POST", path: "/v1/vms/{vm}/exec" },
    example: { vm, command: ["uname", "-r"] },
  }),
  openExec: mutation({
    ...enter,
    summary: "Run a program in a VM with its input and output on a WebSocket",
    input: schema.vmOpenExecInput,
    output: schema.consoleGrant,
    rest: { method: "POST", path: "/v1/vms/{vm}/exec/open" },
    example: { vm, command: ["sh"], terminal: true },
  }),
  console: mutation({
    ...enter,
    summary: "Open a VM's console on a WebSocket",
    input: schema.vmConsoleInput,
    output: schema.consoleGrant,
    rest: { method: "POST", path: "/v1/vms/{vm}/console" },
    example: { vm, columns: 120, rows: 40 },
  }),
  copyTo: mutation({
    ...enter,
    summary: "Write a file in a VM, a piece a call",
    input: schema.vmCopyToInput,
    output: schema.copyToOutput,
    rest: { method: "PUT", path: "/v1/vms/{vm}/files" },
    example: { vm, path: "/root/survey.csv", data: "eCx5LHoK" },
  }),
  copyFrom: query({
    ...enter,
    summary: "Read a file in a VM, a piece a call",
    input: schema.vmCopyFromInput,
    output: fileChunk,
    rest: { method: "GET", path: "/v1/vms/{vm}/files" },
    example: { vm, path: "/etc/os-release" },
  }),
  logs: query({
    ...enter,
    summary: "Show what a VM wrote to its console, and its monitor's words",
    input: schema.vmLogsInput,
    output: pageOf(logChunk),
    rest: { method: "GET", path: "/v1/vms/{vm}/logs" },
    example: { vm, tail: 100 },
  }),
  followLogs: subscription({
    ...enter,
    summary: "Follow what a VM writes to its console",
    input: schema.vmFollowLogsInput,
    output: logChunk,
    rest: { method: "GET", path: "/v1/vms/{vm}/logs/follow" },
    example: { vm, tail: 10 },
  }),
  stats: query({
    ...read,
    summary: "Show what a VM uses",
    input: schema.vmInput,
    output: schema.vmStatsOutput,
    rest: { method: "GET", path: "/v1/vms/{vm}/stats" },
    example: { vm },
  }),
};
