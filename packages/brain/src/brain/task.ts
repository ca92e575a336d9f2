import { checkName, checkNumber, invalid } from "../checks.ts";
import type { ResourceLimits } from "../resources/resource-decision.ts";
import type { Analysis, TaskDescription } from "../understand/index.ts";

/** A task as its user hands it in. */
export interface Task extends TaskDescription {
  /** Names the kind of task where the caller knows it, such as a skill's name. */
  readonly family?: string;
  /** How many bytes it works on, where the caller knows better than its files, data and words tell. */
  readonly inputBytes?: number;
  /** What the user believes it needs; a hint while nothing is known. */
  readonly request?: Pick<ResourceLimits, "memoryMib" | "vcpus" | "gpus">;
  /** What it may have at most; always kept. */
  readonly limits?: ResourceLimits;
  /** The template to start from where the user insists on one. */
  readonly image?: string;
}

/** What the brain knows about a task before it runs. */
export interface TaskAnalysis extends Analysis {
  /** Bytes the task will read, as far as its files, data and text tell; else 8 for each thing it counts. */
  readonly inputBytes: number;
  readonly request: NonNullable<Task["request"]>;
  readonly limits: ResourceLimits;
  readonly image: string | undefined;
  /** Past tasks that came to mind, the nearest first; none where its own family is known well enough. */
  readonly recalled: readonly RecalledExperience[];
}

/** A past task that is like the present one, 0 to 1. */
export interface RecalledExperience {
  readonly experienceId: string;
  readonly family: string;
  readonly similarity: number;
}

/** Throws `QZ_BRAIN_INPUT_INVALID` for requests and limits that cannot be. */
export function checkTask(task: Task): void {
  if (typeof task !== "object" || task === null) throw invalid("task", "an object", task);
  const { family, limits = {}, request = {}, image, inputBytes } = task;
  if (family !== undefined) checkName("family", family);
  if (image !== undefined) checkName("image", image);
  if (inputBytes !== undefined) checkNumber("inputBytes", inputBytes, { min: 0 });
  checkLimits("limits", limits);
  checkLimits("request", request);
}

/** The size that memory and time are expected to grow with. */
export function inputBytesOf({ features }: Analysis): number {
  const { bytes = 0, ...counts } = features;
  return bytes > 0 ? bytes : 8 * Math.max(0, ...Object.values(counts));
}

function checkLimits(field: string, limits: ResourceLimits): void {
  const { memoryMib, vcpus, gpus, diskMib, timeSeconds } = limits;
  if (memoryMib !== undefined) checkNumber(`${field}.memoryMib`, memoryMib, { above: 0 });
  if (diskMib !== undefined) checkNumber(`${field}.diskMib`, diskMib, { above: 0 });
  if (timeSeconds !== undefined) checkNumber(`${field}.timeSeconds`, timeSeconds, { above: 0 });
  if (vcpus !== undefined) checkCount(`${field}.vcpus`, vcpus, 1);
  if (gpus !== undefined) checkCount(`${field}.gpus`, gpus, 0);
}

/** Returns a whole number of at least `min`. */
export function checkCount(field: string, value: unknown, min: number): number {
  const count = checkNumber(field, value, { min, max: 1e9 });
  if (!Number.isInteger(count)) throw invalid(field, "a whole number", value);
  return count;
}
