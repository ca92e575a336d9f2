export type { Brain } from "./brain.ts";
export { createBrain, openBrain } from "./create-brain.ts";
export { type Decision, DECISION_VERSION, type Replayed, replayDecision } from "./decision.ts";
export type { Experience, Outcome, OutcomeKind } from "./experience.ts";
export { explainDecision } from "./explain.ts";
export type {
  BrainExport,
  BrainStatus,
  ExportedExperience,
  FamilyKnown,
  OptimisationPlan,
} from "./knowledge.ts";
export type { BrainOptions } from "./options.ts";
export { type BrainState, STATE_VERSION } from "./state.ts";
export { type BrainClock, type BrainStore, createMemoryStore } from "./store.ts";
export type { RecalledExperience, Task, TaskAnalysis } from "./task.ts";
export type {
  OperatingCosts,
  Recommendation,
  ScoredRecommendation,
} from "../optimise/recommendation.ts";
export type { Arm, Exploration, ExplorationBudget } from "../resources/exploration.ts";
export type {
  ResourceEvidence,
  ResourceLimits,
  Resources,
} from "../resources/resource-decision.ts";
export { DEFAULT_SIZE_CLASSES, type SizeClass } from "../resources/size-class.ts";
export type { ThroughputEstimate } from "../resources/throughput-model.ts";
