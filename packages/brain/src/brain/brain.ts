import type { Decision, Replayed } from "./decision.ts";
import type { Experience, Outcome } from "./experience.ts";
import type { BrainExport, BrainStatus, FamilyKnown, OptimisationPlan } from "./knowledge.ts";
import type { Task, TaskAnalysis } from "./task.ts";

/** A brain: every call but `flush` is synchronous. */
export interface Brain {
  /**
   * What the task is about and how large it is. Throws `QZ_BRAIN_INPUT_INVALID`, and for its texts
   * `QZ_BRAIN_DESCRIPTION_INVALID`, `QZ_BRAIN_DATA_INVALID` and `QZ_BRAIN_FILES_INVALID`.
   */
  analyse(task: Task): TaskAnalysis;
  /** The user says which domain it really was, one of those known or a new one. Throws `QZ_BRAIN_DOMAIN_INVALID`. */
  correct(analysis: TaskAnalysis, domain: string): void;
  /** What to give it, how sure that is and why. */
  estimate(analysis: TaskAnalysis): Decision;
  /** What to give it after the decision's attempt ran out of memory. Throws `QZ_BRAIN_MEMORY_CAP_REACHED`. */
  retry(decision: Decision): Decision;
  /**
   * Learns how an attempt ended. The decision is remembered for a while; pass it where it may not be
   * (after a restart). Throws `QZ_BRAIN_DECISION_UNKNOWN` and `QZ_BRAIN_INPUT_INVALID`.
   */
  learn(outcome: Outcome, decision?: Decision): Experience;
  /** The decision as a person reads it. */
  explain(decision: Decision): string;
  /** Decides again from the decision's own evidence, bit for bit. */
  replay(decision: Decision): Replayed;
  status(): BrainStatus;
  /** What is known of each family, the best known first. */
  knowledge(): FamilyKnown[];
  /** Advice for the coming hour, and how good earlier advice was. */
  optimize(): OptimisationPlan;
  export(): BrainExport;
  /** Replaces all knowledge by an export of any version. Throws `QZ_BRAIN_STATE_INVALID`, `QZ_BRAIN_STATE_TOO_NEW`. */
  import(exported: unknown): void;
  /**
   * Adds another brain's experiences and learns everything anew in the order of time: whichever of two
   * brains merges the other, both know the same.
   */
  merge(exported: unknown): void;
  /** Saves the models and waits for all writes. Throws the first write's error. */
  flush(): Promise<void>;
}
