import { z } from "zod";
import { LARGEST_CHUNK } from "../limits.ts";
import { base64, chunkRange } from "./bytes.ts";
import { logInput } from "./logs.ts";
import { amount, bytes, cpu, diskMib, gpu, memoryMib, port, seconds, share } from "./numbers.ts";
import { pageInput } from "./page.ts";
import { problem } from "./problem.ts";
import { resources } from "./resources.ts";
import {
  command,
  environment,
  guestPath,
  id,
  imageReference,
  labels,
  name,
  reference,
  someText,
  text,
  time,
} from "./text.ts";

/** What a VM can be doing. `crashed`: its monitor died; `destroyed`: only its record is left. */
export const VM_STATES = [
  "creating",
  "running",
  "paused",
  "stopped",
  "crashed",
  "destroyed",
] as const;

// Node's fetch and many proxies give up on an answer that has not begun after 300 seconds.
const LONGEST_WAIT_SECONDS = 240;

const vmState = z.enum(VM_STATES);
const vm = { vm: reference.describe("The VM, by id or name") };
const user = name.optional().describe("The guest's user; root unless given");

/** A port of the guest that the host answers for. */
export const portForward = z
  .strictObject({
    guest: port.describe("The guest's port"),
    host: port.optional().describe("The host's port; a free one unless given"),
    protocol: z.enum(["tcp", "udp"]).default("tcp").describe("TCP or UDP"),
    address: z
      .union([z.ipv4(), z.ipv6().max(45)])
      .default("127.0.0.1")
      .describe("The host's address to listen on; only the host itself unless given"),
  })
  .meta({ id: "PortForward", description: "A port of the guest that the host answers for" });

export const vmCreateInput = z
  .strictObject({
    name: name.optional().describe("Its name, also its host name; made up unless given"),
    purpose: someText(4096)
      .optional()
      .describe("What it is for, in your words: the brain chooses what is not given"),
    cpu: cpu.optional().describe("Processors"),
    memoryMib: memoryMib.optional().describe("Memory in MiB"),
    gpu: gpu.optional().describe("GPUs; refused until there is an engine for them"),
    diskMib: diskMib.optional().describe("Disk in MiB"),
    image: imageReference.optional().describe("The image to start from; the default unless given"),
    ports: z.array(portForward).max(64).default([]).describe("Ports to forward from the host"),
    labels: labels.default({}).describe("Labels of yours"),
    start: z.boolean().default(true).describe("Whether to start it at once"),
  })
  .refine(
    ({ purpose, cpu, memoryMib }) =>
      purpose !== undefined || (cpu !== undefined && memoryMib !== undefined),
    { error: "give a purpose, or cpu and memoryMib" },
  )
  .meta({
    id: "VmCreate",
    description:
      "A VM by its purpose, or by cpu and memoryMib; what is given besides a purpose overrules the brain",
  });

export const vmListInput = z.strictObject({
  ...pageInput,
  states: z
    .array(vmState)
    .min(1)
    .max(VM_STATES.length)
    .optional()
    .describe("Only in these states; all but `destroyed` unless given"),
  node: reference.optional().describe("Only on this node"),
});

export const vmInput = z.strictObject(vm);

export const vmStopInput = z.strictObject({
  ...vm,
  graceSeconds: seconds
    .max(LONGEST_WAIT_SECONDS)
    .default(30)
    .describe("How long the guest may take to shut down before its power is cut; 0: at once"),
});

export const vmDestroyInput = z.strictObject({
  ...vm,
  force: z.boolean().default(false).describe("Also while it runs"),
});

export const vmSnapshotInput = z.strictObject({
  ...vm,
  name: name.optional().describe("The snapshot's name; made up unless given"),
});

export const vmSnapshotsInput = z.strictObject({ ...vm, ...pageInput });

export const vmSnapshotReference = z.strictObject({
  ...vm,
  snapshot: reference.describe("The snapshot, by id or name"),
});

export const vmForkInput = z.strictObject({
  ...vm,
  name: name.optional().describe("The name of the new VM; made up unless given"),
});

const run = {
  ...vm,
  command: command.describe("The program and its arguments; no shell looks at them"),
  environment: environment.default({}).describe("Environment variables"),
  directory: guestPath.optional().describe("The directory to run it in"),
  user,
};

export const vmExecInput = z.strictObject({
  ...run,
  input: base64.default("").describe("What it reads from its standard input, as base64"),
  timeoutSeconds: seconds
    .min(1)
    .max(LONGEST_WAIT_SECONDS)
    .default(60)
    .describe("When it is killed; use openExec for longer programs"),
});

const terminalSize = {
  columns: z.int().min(1).max(1000).default(80).describe("The width of the terminal"),
  rows: z.int().min(1).max(1000).default(24).describe("The height of the terminal"),
};

export const vmOpenExecInput = z.strictObject({
  ...run,
  terminal: z.boolean().default(false).describe("Whether it runs in a terminal"),
  ...terminalSize,
});

export const vmConsoleInput = z.strictObject({
  ...vm,
  ...terminalSize,
  scrollbackBytes: z
    .int()
    .min(0)
    .max(LARGEST_CHUNK)
    .default(65_536)
    .describe("How much of what was shown before comes first"),
});

export const vmCopyToInput = z.strictObject({
  ...vm,
  path: guestPath.describe("The file in the guest; its directory must exist"),
  data: base64.describe("The bytes to write at `offset`, as base64"),
  offset: bytes.default(0).describe("Where to write; a call with 0 begins the file anew"),
  mode: z.int().min(0).max(0o777).default(0o644).describe("The file's permission bits"),
});

export const vmCopyFromInput = z.strictObject({
  ...vm,
  path: guestPath.describe("The file in the guest"),
  ...chunkRange,
});

export const vmLogsInput = z.strictObject({ ...vm, ...logInput, ...pageInput });

export const vmFollowLogsInput = z.strictObject({
  ...vm,
  ...logInput,
  lastEventId: id.optional().describe("Resume after this piece"),
});

/** A VM. */
export const vmOutput = z
  .object({
    id: id.describe("Its id"),
    name: name.describe("Its name"),
    state: vmState.describe("What it is doing"),
    purpose: text(4096).nullable().describe("What it is for, in the words of who created it"),
    resources: resources.describe("What it has"),
    image: imageReference.describe("The image it started from"),
    engine: z.enum(["emulator", "kvm"]).describe("What runs it"),
    node: reference.describe("The node it is on"),
    ports: z
      .array(
        z.object({
          guest: port.describe("The guest's port"),
          host: port.describe("The host's port"),
          protocol: z.enum(["tcp", "udp"]).describe("TCP or UDP"),
          address: z.string().max(45).describe("The host's address that listens"),
        }),
      )
      .max(64)
      .describe("Forwarded ports"),
    labels: labels.describe("Its user's labels"),
    task: id.nullable().describe("The task it runs, if any"),
    parent: id.nullable().describe("The VM it was forked from, if any"),
    decision: id.nullable().describe("The brain's decision behind its size, if any"),
    problem: problem.nullable().describe("Why it crashed or cannot start"),
    createdAt: time.describe("When it was created"),
    startedAt: time.nullable().describe("When it was last started"),
  })
  .meta({ id: "Vm", description: "A virtual machine" });

/** A snapshot of a VM. */
export const snapshotOutput = z
  .object({
    id: id.describe("Its id"),
    name: name.describe("Its name"),
    vm: id.describe("The VM it is of"),
    bytes: bytes.describe("The room it takes on disk"),
    createdAt: time.describe("When it was taken"),
  })
  .meta({ id: "Snapshot", description: "The whole state of a VM at one moment" });

/** How a program in a guest ended. */
export const execOutput = z
  .object({
    exitCode: z
      .int()
      .min(0)
      .max(255)
      .nullable()
      .describe("Its exit status; null where a signal or the time limit ended it"),
    signal: z.string().max(16).nullable().describe("The signal that ended it, if any"),
    timedOut: z.boolean().describe("Whether it was killed for its time limit"),
    stdout: text(LARGEST_CHUNK).describe("Its output; what is no UTF-8 is replaced"),
    stderr: text(LARGEST_CHUNK).describe("Its error output"),
    truncated: z.boolean().describe("Whether more was written than fits here"),
    seconds: amount.describe("How long it ran"),
  })
  .meta({ id: "ExecResult", description: "How a program in a guest ended" });

/** Permission to open one WebSocket. */
export const consoleGrant = z
  .object({
    path: z
      .string()
      .max(256)
      .regex(/^\/[\x21-\x7e]*$/)
      .describe("The path of the WebSocket on this server"),
    ticket: z
      .string()
      .min(16)
      .max(128)
      .regex(/^[A-Za-z0-9_-]+$/)
      .describe("Opens it once; send it as the subprotocol `queztl.ticket.TICKET`"),
    protocol: z
      .string()
      .max(64)
      .regex(/^[a-z0-9.]+$/)
      .describe("The subprotocol that names the framing"),
    expiresAt: time.describe("When the ticket is no longer accepted"),
  })
  .meta({ id: "ConsoleGrant", description: "Permission to open one WebSocket" });

/** What was written into a guest. */
export const copyToOutput = z
  .object({ bytes: bytes.describe("The size of the file now") })
  .meta({ id: "CopyResult", description: "What was written into a guest" });

/** What a VM uses. */
export const vmStatsOutput = z
  .object({
    at: time.describe("When it was measured"),
    cpuShare: share.describe("Of all its processors, the part that was busy of late"),
    cpuSeconds: amount.describe("Processor time since it started"),
    memoryMib: amount.describe("Memory it really holds of the host's, in MiB"),
    memoryShare: share.describe("Of its memory, the part in use by the guest's own account"),
    diskMib: amount.describe("Disk its overlays take, in MiB"),
    readBytes: amount.describe("Read from disks since it started"),
    writtenBytes: amount.describe("Written to disks since it started"),
    receivedBytes: amount.describe("Received from the network since it started"),
    sentBytes: amount.describe("Sent to the network since it started"),
    uptimeSeconds: amount.describe("How long it has been running"),
  })
  .meta({ id: "VmStats", description: "What a VM uses" });
