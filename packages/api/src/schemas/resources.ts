import { z } from "zod";
import { amount, cpu, diskMib, gpu, memoryMib, seconds } from "./numbers.ts";
import { imageReference, name } from "./text.ts";

/** Resources as users ask for them: each may be left out. */
export const resourceWishes = z
  .strictObject({
    cpu: cpu.optional().describe("Processors"),
    memoryMib: memoryMib.optional().describe("Memory in MiB"),
    gpu: gpu.optional().describe("GPUs, whole ones"),
    diskMib: diskMib.optional().describe("What its disk may hold beside the image, in MiB"),
  })
  .meta({ id: "ResourceWishes", description: "Resources asked for" });

/** What a task may have at most. */
export const resourceLimits = z
  .strictObject({
    ...resourceWishes.shape,
    timeSeconds: seconds.min(1).optional().describe("Seconds until an attempt is stopped"),
  })
  .meta({ id: "ResourceLimits", description: "What a task may have at most; always kept" });

/** Resources as they were given. */
export const resources = z
  .object({
    cpu: cpu.describe("Processors"),
    memoryMib: memoryMib.describe("Memory in MiB"),
    gpu: gpu.describe("GPUs, whole ones"),
    diskMib: diskMib.describe("What its disk may hold beside the image, in MiB"),
  })
  .meta({ id: "Resources", description: "Resources as they were given" });

/** What the brain gives a task. */
export const decidedResources = z
  .object({
    ...resources.shape,
    timeLimitSeconds: amount.describe("Seconds until the attempt is stopped"),
    image: imageReference.describe("The image to start from"),
    sizeClass: name
      .nullable()
      .describe("The class of VM that is used; null where none is large enough"),
  })
  .meta({ id: "DecidedResources", description: "What the brain gives a task" });
