import { checkName, checkNumber, invalid } from "../checks.ts";
import type { SizeObservation } from "../sizer/memory-policy.ts";
import type { Decision } from "./decision.ts";
import { checkCount } from "./task.ts";

/** How an attempt ended. Only `ok` shows what a task needs; the others show that it needs more. */
export type OutcomeKind = "ok" | "oom" | "timeout" | "cancelled" | "failed";

/** What was measured of an attempt, handed to `learn`. */
export interface Outcome {
  /** The decision that the attempt ran with. */
  readonly decisionId: string;
  readonly outcome: OutcomeKind;
  readonly peakMib: number;
  readonly wallSeconds: number;
  /** CPU time of all threads together. */
  readonly cpuSeconds?: number;
  /** Busy time of all GPUs together. */
  readonly gpuSeconds?: number;
  readonly diskPeakMib?: number;
  /** When it became known, in seconds; the clock's time unless given. */
  readonly at?: number;
}

/** One attempt as the brain remembers it: enough to rebuild every model from. */
export interface Experience {
  readonly id: string;
  readonly at: number;
  readonly family: string;
  readonly domain: string;
  readonly inputBytes: number;
  readonly requestMib: number | undefined;
  readonly features: Readonly<Record<string, number>>;
  readonly embedding: Float32Array;
  readonly image: string;
  readonly memoryMib: number;
  readonly vcpus: number;
  readonly gpus: number;
  readonly diskMib: number;
  readonly outcome: OutcomeKind;
  readonly peakMib: number;
  readonly wallSeconds: number;
  readonly cpuSeconds: number | undefined;
  readonly gpuSeconds: number | undefined;
  readonly diskPeakMib: number | undefined;
}

const OUTCOMES: readonly string[] = ["ok", "oom", "timeout", "cancelled", "failed"];

/** What is remembered of an attempt: what its decision knew, and what was measured. */
export function experienceOf(decision: Decision, outcome: Outcome, at: number): Experience {
  const { task, resources } = decision;
  return {
    id: decision.id,
    at,
    family: task.family,
    domain: task.domain,
    inputBytes: task.inputBytes,
    requestMib: task.requestMib,
    features: task.features,
    embedding: Float32Array.from(task.embedding),
    image: resources.image,
    memoryMib: resources.memoryMib,
    vcpus: resources.vcpus,
    gpus: resources.gpus,
    diskMib: resources.diskMib,
    outcome: outcome.outcome,
    peakMib: outcome.peakMib,
    wallSeconds: outcome.wallSeconds,
    cpuSeconds: outcome.cpuSeconds,
    gpuSeconds: outcome.gpuSeconds,
    diskPeakMib: outcome.diskPeakMib,
  };
}

/** Throws `QZ_BRAIN_INPUT_INVALID` for measurements that cannot be. */
export function checkOutcome(outcome: Outcome): void {
  checkName("decisionId", outcome.decisionId);
  if (!OUTCOMES.includes(outcome.outcome)) {
    throw invalid("outcome", OUTCOMES.join(", "), outcome.outcome);
  }
  checkNumber("peakMib", outcome.peakMib, { min: 0 });
  checkNumber("wallSeconds", outcome.wallSeconds, { min: 0 });
  for (const field of ["cpuSeconds", "gpuSeconds", "diskPeakMib"] as const) {
    if (outcome[field] !== undefined) checkNumber(field, outcome[field], { min: 0 });
  }
  if (outcome.at !== undefined) checkNumber("at", outcome.at);
}

/** Throws `QZ_BRAIN_INPUT_INVALID` for an experience from elsewhere that cannot be. */
export function checkExperience(experience: Experience): void {
  checkOutcome({ ...experience, decisionId: experience.id, at: experience.at } as Outcome);
  checkName("family", experience.family);
  checkName("domain", experience.domain);
  checkName("image", experience.image);
  checkNumber("inputBytes", experience.inputBytes, { min: 0 });
  checkNumber("memoryMib", experience.memoryMib, { above: 0 });
  checkNumber("diskMib", experience.diskMib, { min: 0 });
  checkCount("vcpus", experience.vcpus, 1);
  checkCount("gpus", experience.gpus, 0);
  if (experience.requestMib !== undefined) {
    checkNumber("requestMib", experience.requestMib, { above: 0 });
  }
}

/**
 * What an attempt tells about memory. An OOM, and any other end with a peak, is a lower bound; an end
 * by another cause than memory tells nothing more unless its peak beats what was believed.
 */
export function memoryObservation(experience: Experience): SizeObservation | undefined {
  const { family, inputBytes, requestMib, memoryMib, peakMib, wallSeconds, outcome, at } =
    experience;
  const common = { family, inputBytes, requestMib, runtimeSeconds: wallSeconds, at };
  if (outcome === "ok") return { ...common, allocatedMib: memoryMib, peakMib, outcome: "ok" };
  if (outcome === "oom") {
    return { ...common, allocatedMib: memoryMib, peakMib: memoryMib, outcome: "oom" };
  }
  if (peakMib <= 0) return undefined;
  return { ...common, allocatedMib: peakMib, peakMib, outcome: "oom" };
}

/** The same for disk, where it was measured. */
export function diskObservation(experience: Experience): SizeObservation | undefined {
  const { family, inputBytes, diskMib, diskPeakMib, wallSeconds, outcome, at } = experience;
  if (diskPeakMib === undefined || outcome !== "ok") return undefined;
  return {
    family,
    inputBytes,
    allocatedMib: diskMib,
    peakMib: diskPeakMib,
    runtimeSeconds: wallSeconds,
    outcome: "ok",
    at,
  };
}
