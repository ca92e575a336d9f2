import type { ResourceEvidence, Resources } from "../resources/resource-decision.ts";
import type { RecalledExperience } from "./task.ts";
import { decideResources } from "../resources/resource-decision.ts";

/** Changes whenever the same evidence would lead to other resources. */
export const DECISION_VERSION = 1;

/** What a task is given, how sure that is, why, and all that is needed to say so again. */
export interface Decision {
  readonly id: string;
  /** Seconds of the brain's clock. */
  readonly at: number;
  readonly version: number;
  readonly task: {
    readonly family: string;
    readonly domain: string;
    readonly domainConfidence: number;
    readonly inputBytes: number;
    readonly requestMib: number | undefined;
    readonly features: Readonly<Record<string, number>>;
    readonly embedding: readonly number[];
    /** Why it was understood so. */
    readonly reasons: readonly string[];
  };
  /** From 1. */
  readonly attempt: number;
  readonly resources: Resources;
  /** Where 9 of 10 tasks like this one are expected; undefined where nothing is known. */
  readonly expected: {
    readonly memoryMib: readonly [low: number, high: number];
    readonly seconds: readonly [low: number, high: number] | undefined;
    readonly diskMib: readonly [low: number, high: number];
  };
  /** How likely the memory is to be enough, 0 to 1. */
  readonly confidence: number;
  readonly reasons: readonly string[];
  /** Past tasks that came to mind, the nearest first. */
  readonly recalled: readonly RecalledExperience[];
  readonly evidence: ResourceEvidence;
}

/** What came of deciding again. */
export interface Replayed {
  readonly resources: Resources;
  /** Whether every number is the same bit for bit. */
  readonly identical: boolean;
}

/** Decides again from a decision's own evidence. */
export function replayDecision(decision: Decision): Replayed {
  const resources = decideResources(decision.evidence);
  const fields = Object.keys(decision.resources) as (keyof Resources)[];
  const identical =
    decision.version === DECISION_VERSION &&
    fields.every((field) => Object.is(resources[field], decision.resources[field]));
  return { resources, identical };
}
