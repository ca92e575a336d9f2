import { z } from "zod";
import { amount, count, cpu, diskMib, gpu, memoryMib } from "./numbers.ts";
import { pageInput } from "./page.ts";
import { resources } from "./resources.ts";
import { id, labels, name, reference, text, time } from "./text.ts";

const node = { node: reference.describe("The node, by id or name") };

export const nodeAddInput = z
  .strictObject({
    name: name.describe("Its name"),
    cpu: cpu.describe("Processors it may give to VMs"),
    memoryMib: memoryMib.describe("Memory it may give to VMs, in MiB"),
    gpu: gpu.default(0).describe("GPUs it may give to VMs"),
    diskMib: diskMib
      .optional()
      .describe("Disk it may give to VMs, in MiB; all there is unless given"),
    labels: labels.default({}).describe("Labels of yours"),
  })
  .meta({ id: "NodeAdd", description: "A computer that VMs may run on" });

export const nodeInput = z.strictObject(node);

export const nodeListInput = z.strictObject(pageInput);

export const nodeCordonInput = z.strictObject({
  ...node,
  cordoned: z.boolean().default(true).describe("False takes it back into use"),
});

export const nodeDrainInput = z.strictObject({
  ...node,
  deadlineSeconds: z
    .int()
    .min(0)
    .max(86_400)
    .default(600)
    .describe("How long running tasks may go on before they are moved"),
});

/** A node. */
export const nodeOutput = z
  .object({
    id: id.describe("Its id"),
    name: name.describe("Its name"),
    state: z.enum(["ready", "draining", "unreachable"]).describe("How it is"),
    cordoned: z.boolean().describe("Whether it is kept from new VMs"),
    engines: z
      .array(z.enum(["emulator", "kvm"]))
      .max(2)
      .describe("What can run VMs on it, the preferred one first"),
    capacity: resources.describe("What it may give to VMs"),
    used: z
      .object({
        cpu: amount.describe("Processors given away"),
        memoryMib: amount.describe("Memory given away, in MiB"),
        gpu: amount.describe("GPUs given away"),
        diskMib: amount.describe("Disk given away, in MiB"),
      })
      .describe("What it has given away"),
    vms: count.describe("VMs on it"),
    version: text(64).describe("The version of Queztl it runs"),
    labels: labels.describe("Its labels"),
    lastSeenAt: time.describe("When it was last heard of"),
    addedAt: time.describe("When it was added"),
  })
  .meta({ id: "Node", description: "A computer that VMs run on" });
