import { z } from "zod";
import { MAX_CPUS, MAX_MEMORY_MIB } from "../../machine-options.ts";
import { hypervisorError } from "../../errors.ts";

const positive = z.number().positive();
const count = z.int().min(1);
const port = z.int().min(1).max(65535);

/** What a VM may use of its host. */
export const vmLimitsSchema = z.strictObject({
  /** Host processors it may keep busy: 0.5 is half of one. */
  cpuShare: positive.max(MAX_CPUS).optional(),
  /** Bytes that all its disks may hold beyond their images. */
  diskBytes: count.optional(),
  diskBytesPerSecond: positive.optional(),
  diskRequestsPerSecond: positive.optional(),
  /** Bytes a second of the network, in each direction. */
  networkBytesPerSecond: positive.optional(),
  /** Seconds from its creation after which it is stopped, whatever it does. */
  lifetimeSeconds: positive.optional(),
  /** Seconds without a command, copy or console client after which it is stopped. */
  idleSeconds: positive.optional(),
  /** Bytes that its snapshots may take on the disk: one that could exceed it, all its memory counted, is refused. */
  snapshotBytes: count.optional(),
});

/** What a VM may use of its host; what is left out is not limited. */
export type VmLimits = z.infer<typeof vmLimitsSchema>;

const forwardSchema = z.strictObject({
  protocol: z.enum(["tcp", "udp"]).exactOptional(),
  hostPort: port,
  guestPort: port,
});

const diskSchema = z.strictObject({
  /** The raw file that the guest sees where it wrote nothing; it is never written to unless `direct`. */
  path: z.string(),
  /** `overlay` keeps writes in the VM's folder, `direct` writes to the file itself. */
  mode: z.enum(["overlay", "direct", "read-only"]),
});

/** config.json: all that a monitor needs to run its VM. */
export const vmConfigSchema = z.strictObject({
  version: z.literal(1),
  id: z.string(),
  createdAt: z.iso.datetime(),
  /** The name of the image it was made of, for people. */
  image: z.string().optional(),
  labels: z.record(z.string().max(256), z.string().max(4096)),
  machine: z.strictObject({
    memoryMib: z.int().min(1).max(MAX_MEMORY_MIB),
    cpus: z.int().min(1).max(MAX_CPUS),
    seed: z.int().min(0).max(0xffffffff).optional(),
  }),
  kernel: z.strictObject({
    path: z.string(),
    initramfs: z.string().optional(),
    commandLine: z.string(),
  }),
  disks: z.array(diskSchema).max(8),
  /** Drives without a disk. */
  drives: z.int().min(0).max(8).default(0),
  network: z
    .union([
      z.strictObject({
        mac: z.string(),
        forwards: z.array(forwardSchema).max(256),
        allow: z.array(z.string()).max(256).exactOptional(),
        deny: z.array(z.string()).max(256).exactOptional(),
      }),
      z.strictObject({
        mac: z.string(),
        switch: z.union([
          z.strictObject({ listen: z.string() }),
          z.strictObject({ connect: z.string() }),
        ]),
      }),
    ])
    .optional(),
  /** What its first run goes on from instead of a boot. */
  origin: z
    .strictObject({
      /** A folder of `saveMachine` with the layers of the disks, in the VM's folder. */
      snapshot: z.string(),
      /** Whether the guest becomes another one. */
      newIdentity: z.boolean(),
      /** The template that it is, which holds nothing but a boot: where it cannot be gone on from, the VM boots. */
      template: z.string().optional(),
    })
    .optional(),
  limits: vmLimitsSchema,
});

export type VmConfig = z.infer<typeof vmConfigSchema>;

/** @throws QZ_HYPERVISOR_VM_FOLDER for what is no configuration. */
export function parseVmConfig(path: string, text: string): VmConfig {
  return parseFile(vmConfigSchema, path, text);
}

/** Why a VM is over. */
export const vmEndSchema = z.strictObject({
  reason: z.enum([
    /** the guest turned itself off */
    "power-off",
    /** `stop` was called, or the monitor was told to terminate */
    "stopped",
    /** limits */
    "lifetime",
    "idle",
    /** a processor met a fault it could not deliver */
    "triple-fault",
    /** a defect of the monitor, or it could not start the machine */
    "failure",
    /** the monitor's process was killed or died */
    "crashed",
  ]),
  message: z.string().optional(),
  /** When; not known of a crash. */
  at: z.iso.datetime().optional(),
});

export type VmEnd = z.infer<typeof vmEndSchema>;

export const vmStateSchema = z.enum(["starting", "running", "paused", "stopped", "crashed"]);

/** Where a VM is in its life: starting → running ⇄ paused → stopped or crashed; `start` makes it starting again. */
export type VmState = z.infer<typeof vmStateSchema>;

/** state.json: what a monitor last said of its VM. */
export const vmRecordSchema = z.strictObject({
  version: z.literal(1),
  state: vmStateSchema,
  /** Of the monitor's lock: a record of another run says nothing of this one. */
  run: z.int().min(1),
  startedAt: z.iso.datetime(),
  end: vmEndSchema.optional(),
});

export type VmRecord = z.infer<typeof vmRecordSchema>;

/** Reads JSON of a schema. @throws QZ_HYPERVISOR_VM_FOLDER */
export function parseFile<Schema extends z.ZodType>(
  schema: Schema,
  path: string,
  text: string,
): z.output<Schema> {
  try {
    return schema.parse(JSON.parse(text));
  } catch (cause) {
    const reason = cause instanceof z.ZodError ? z.prettifyError(cause) : "it is no JSON";
    throw hypervisorError("QZ_HYPERVISOR_VM_FOLDER", { path, reason }, { cause });
  }
}
