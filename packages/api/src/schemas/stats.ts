import { z } from "zod";
import { amount, count, share } from "./numbers.ts";
import { TASK_STATES } from "./task.ts";
import { text, time } from "./text.ts";
import { VM_STATES } from "./vm.ts";

export const statsInput = z.strictObject({});

const counts = (states: readonly string[], what: string) =>
  z.object(Object.fromEntries(states.map((state) => [state, count.describe(`${what} ${state}`)])));

/** How the whole is doing. */
export const statsOutput = z
  .object({
    at: time.describe("When it was measured"),
    version: text(64).describe("The server's version"),
    uptimeSeconds: amount.describe("How long the server has been up"),
    database: z.enum(["postgres", "embedded"]).describe("Where its records are"),
    vms: counts(VM_STATES, "VMs that are").describe("VMs by state"),
    tasks: counts(TASK_STATES, "Tasks that are").describe("Tasks by state"),
    nodes: count.describe("Nodes"),
    images: count.describe("Images that are ready"),
    templates: count.describe("Templates kept ready"),
    experiences: count.describe("Runs the brain remembers"),
    host: z
      .object({
        cpu: count.describe("Processors"),
        cpuShare: share.describe("The part of them that was busy of late"),
        memoryMib: amount.describe("Memory in MiB"),
        memoryShare: share.describe("The part of it in use"),
        diskFreeMib: amount.describe("Free disk in MiB"),
      })
      .describe("The computer the server runs on"),
  })
  .meta({ id: "Stats", description: "How the whole is doing" });
