import type { Recommendation, ScoredRecommendation } from "../optimise/recommendation.ts";
import type { Experience } from "./experience.ts";
import type { Growth } from "./growth.ts";
import type { BrainState } from "./state.ts";

/** How the brain is doing. */
export interface BrainStatus {
  readonly experiences: number;
  readonly families: number;
  readonly decisions: number;
  /** Finished tasks, and attempts that ran out of memory. */
  readonly finished: number;
  readonly oom: number;
  /** GiB·h wasted, and what the user's requests and VPA would have wasted on the same tasks. */
  readonly wasteGibHours: Readonly<Record<"brain" | "request" | "vpa", number>>;
  /** The share of the last (up to 200) peaks that lay in the interval expected; 0.9 is aimed at. */
  readonly coverage: number | undefined;
  readonly explored: { readonly tried: number; readonly failedShare: number };
  /** Families whose decisions have held least often, the worst first. */
  readonly uncertain: readonly { readonly family: string; readonly heldShare: number }[];
  /** Writes to the store that failed since the last `flush`. */
  readonly failedWrites: number;
}

/** What is known of one family. */
export interface FamilyKnown {
  readonly family: string;
  readonly samples: number;
  readonly peakMib: readonly [least: number, most: number];
  /** Of the last decisions, the share that was enough. */
  readonly heldShare: number | undefined;
  readonly intervalCoverage: number | undefined;
  /** Seconds on one vCPU for an input of the usual size, undefined without a finished run. */
  readonly workSeconds: number | undefined;
  readonly serialShare: number | undefined;
  readonly busyGpus: number | undefined;
  /** Whether it fills whatever memory it gets. */
  readonly elastic: boolean;
  /** How it grows with its input, undefined while its inputs have hardly differed. */
  readonly growth: Growth | undefined;
}

/** What could be changed, and how good earlier advice was. */
export interface OptimisationPlan {
  readonly recommendations: readonly Recommendation[];
  /** Earlier ones whose time has passed, with what they would have gained. */
  readonly scored: readonly ScoredRecommendation[];
}

/** An experience with its vector as plain numbers. */
export type ExportedExperience = Omit<Experience, "embedding"> & {
  readonly embedding: readonly number[];
};

/** A brain's whole knowledge for another computer, another version or another brain. */
export interface BrainExport {
  readonly format: "queztl-brain";
  readonly state: BrainState;
  readonly experiences: readonly ExportedExperience[];
}
