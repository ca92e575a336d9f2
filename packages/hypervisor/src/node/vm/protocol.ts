import { z } from "zod";
import { vmEndSchema, vmStateSchema } from "./vm-config.ts";

/** The version of the control protocol (docs/vm-folders.md). */
export const CONTROL_PROTOCOL = 1;
/** The longest line from a client, and from a monitor, in bytes. */
export const MAX_REQUEST_BYTES = 64 * 1024;
export const MAX_REPLY_BYTES = 1024 * 1024;

/** What a monitor says first on each connection. */
export const helloSchema = z.object({
  queztl: z.literal("monitor"),
  protocol: z.int(),
  vm: z.string(),
  pid: z.int(),
});

const nothing = z.strictObject({});
const milliseconds = z.number().min(0).max(86_400_000);
const drive = z.int().min(0).max(7);
const size = z.int().min(1).max(9999);

/** Where the guest's agent is: not yet there, answering, or not keeping to its protocol. */
export const agentStateSchema = z.enum(["waiting", "ready", "failed"]);

export const vmStatusSchema = z.object({
  id: z.string(),
  state: vmStateSchema,
  pid: z.int(),
  startedAt: z.iso.datetime(),
  agent: agentStateSchema,
  /** Clients that have the console. */
  consoles: z.int(),
  /** Commands and copies that run in the guest. */
  commands: z.int(),
  /** Commands with `persist` that run, or whose end nobody has heard of: for `attach`. */
  persistent: z.array(z.string()),
  end: vmEndSchema.optional(),
});

const number = z.number();

export const vmStatsSchema = z.object({
  /** Seconds of host time since the monitor started, and processor time it used. */
  wallSeconds: number,
  cpuSeconds: number,
  /** Resident memory of the monitor's process, and what of it no other process shares, where the host tells. */
  residentBytes: number,
  privateBytes: number.optional(),
  guestSeconds: number,
  instructions: number,
  memoryMib: number,
  cpus: number,
  balloonBytes: number,
  resets: number,
  diskBytes: number,
  disk: z.object({ readBytes: number, writtenBytes: number, errors: number, throttled: number }),
  network: z.object({ receivedBytes: number, sentBytes: number, droppedFrames: number }).optional(),
  consoleBytes: number,
});

/** Each operation's parameters and result. */
export const operations = {
  status: { params: nothing, result: vmStatusSchema },
  stats: { params: nothing, result: vmStatsSchema },
  pause: { params: nothing, result: nothing },
  resume: { params: nothing, result: nothing },
  reset: { params: nothing, result: nothing },
  /** Presses the power button; after `graceMs` pulls the plug. Replies when the machine has ended. */
  stop: { params: z.strictObject({ graceMs: milliseconds }), result: vmEndSchema },
  /** Saves into a folder that is not there yet; the machine goes on where it did. */
  snapshot: {
    params: z.strictObject({
      folder: z.string(),
      /** As `SaveMachineOptions`. */
      share: z.boolean().default(false),
      durable: z.boolean().default(true),
    }),
    result: nothing,
  },
  /** Puts the machine back to a snapshot of it. */
  restore: { params: z.strictObject({ folder: z.string() }), result: nothing },
  balloon: { params: z.strictObject({ bytes: z.number().min(0) }), result: nothing },
  /** Puts a raw file into an empty drive, and takes it out again. */
  attachDisk: {
    params: z.strictObject({ drive, path: z.string(), readOnly: z.boolean() }),
    result: nothing,
  },
  detachDisk: { params: z.strictObject({ drive, force: z.boolean() }), result: nothing },
  /** Tells the guest the size of the console's terminal. */
  resizeConsole: { params: z.strictObject({ columns: size, rows: size }), result: nothing },
  /** Events come from here on. */
  subscribe: { params: nothing, result: nothing },
  /** Turns the connection into the console: its last `scrollBackBytes`, then what comes; what is sent is typed. */
  console: {
    params: z.strictObject({ scrollBackBytes: z.int().min(0), input: z.boolean() }),
    result: nothing,
  },
  /** Turns the connection into one with the guest's agent (docs/agent-protocol.md). */
  agent: { params: nothing, result: nothing },
} as const;

export type Operation = keyof typeof operations;
export type ParamsOf<Name extends Operation> = z.input<(typeof operations)[Name]["params"]>;
export type ResultOf<Name extends Operation> = z.output<(typeof operations)[Name]["result"]>;
export type VmStatus = z.infer<typeof vmStatusSchema>;
export type VmStats = z.infer<typeof vmStatsSchema>;

const id = z.int().min(1).max(0x7fffffff);

/** What a client sends: a request, or that it gave one up. */
export const clientMessageSchema = z.union([
  z.strictObject({ id, op: z.string().max(64), params: z.unknown() }),
  z.strictObject({ cancel: id }),
]);

/** What happens to a VM, with the time in milliseconds since 1970. */
export const vmEventSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("state"), at: number, state: vmStateSchema }),
  z.object({ type: z.literal("end"), at: number, end: vmEndSchema }),
  z.object({ type: z.literal("agent"), at: number, agent: agentStateSchema }),
  z.object({ type: z.literal("reset"), at: number }),
  z.object({ type: z.literal("snapshot"), at: number, folder: z.string() }),
  z.object({ type: z.literal("restored"), at: number, folder: z.string() }),
  /** A device of the guest stopped, or a disk could not be read or written. */
  z.object({
    type: z.literal("device-fault"),
    at: number,
    device: z.string(),
    message: z.string(),
  }),
  z.object({ type: z.literal("limit"), at: number, limit: z.string(), message: z.string() }),
]);

export type VmEvent = z.infer<typeof vmEventSchema>;

const errorSchema = z.object({
  code: z.string(),
  status: z.string(),
  message: z.string(),
  details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
});

/** What a monitor sends after its hello. */
export const monitorMessageSchema = z.union([
  z.object({ id, result: z.unknown() }),
  z.object({ id, error: errorSchema }),
  z.object({ event: vmEventSchema }),
]);

export type MonitorMessage = z.infer<typeof monitorMessageSchema>;
