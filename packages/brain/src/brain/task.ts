import { checkName, checkNumber, invalid } from "../checks.ts";
import type { ResourceLimits } from "../resources/resource-decision.ts";

/** A task as its user hands it in. */
export interface Task {
  /** What it is to do, in the user's words; up to 1 MB is read. */
  readonly description: string;
  /** Its parameters as JSON. */
  readonly data?: unknown;
  readonly files?: readonly { readonly name: string; readonly bytes: number }[];
  /** Names the kind of task where the caller knows it, such as a skill's name. */
  readonly family?: string;
  /** What the user believes it needs; a hint while nothing is known. */
  readonly request?: Pick<ResourceLimits, "memoryMib" | "vcpus" | "gpus">;
  /** What it may have at most; always kept. */
  readonly limits?: ResourceLimits;
  /** The template to start from where the user insists on one. */
  readonly image?: string;
}

/** What a text and its data mean: the part of an analysis that needs understanding. */
export interface Understanding {
  /** mining, geophysics, 3D generation, ML training, inference, general or a domain taught later. */
  readonly domain: string;
  /** 0 to 1, calibrated: of the answers given with 0.8, about 80 % are right. */
  readonly confidence: number;
  readonly family: string;
  /** Sizes and counts found in the description, the data and the files. */
  readonly features: Readonly<Record<string, number>>;
  /** 256 numbers, compared by cosine. */
  readonly embedding: Float32Array;
  readonly reasons: readonly string[];
}

/** Turns a task into its understanding; the brain's own unless another is given. */
export type Understand = (task: Task) => Understanding;

/** What the brain knows about a task before it runs. */
export interface Analysis extends Understanding {
  /** Bytes the task will read: its files, else what its text and data say, else the data's own size. */
  readonly inputBytes: number;
  readonly request: NonNullable<Task["request"]>;
  readonly limits: ResourceLimits;
  readonly image: string | undefined;
}

export const MOST_DESCRIPTION_CHARACTERS = 1_048_576;
const MOST_FILES = 10_000;

/** Throws `QZ_BRAIN_INPUT_INVALID` for anything a task cannot be. */
export function checkTask(task: Task): void {
  if (typeof task !== "object" || task === null) throw invalid("task", "an object", task);
  const { description, files = [], family, limits = {}, request = {}, image } = task;
  if (typeof description !== "string" || description.length > MOST_DESCRIPTION_CHARACTERS) {
    throw invalid(
      "description",
      `a text of at most ${MOST_DESCRIPTION_CHARACTERS} characters`,
      description,
    );
  }
  if (!Array.isArray(files) || files.length > MOST_FILES) {
    throw invalid("files", `a list of at most ${MOST_FILES}`, files);
  }
  for (const [i, file] of files.entries())
    checkNumber(`files[${i}].bytes`, file?.bytes, { min: 0 });
  if (family !== undefined) checkName("family", family);
  if (image !== undefined) checkName("image", image);
  checkLimits("limits", limits);
  checkLimits("request", request);
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
  const count = checkNumber(field, value, { min, max: 1e6 });
  if (!Number.isInteger(count)) throw invalid(field, "a whole number", value);
  return count;
}
