export { COLD_START_MIB, DEFAULT_GRID, onGrid, type AllocationGrid } from "./allocation.ts";
export type {
  FamilyLikeness,
  MemoryPolicy,
  RetryQuery,
  SizeObservation,
  SizeQuery,
} from "./memory-policy.ts";
export {
  decideSize,
  SIZER_VERSION,
  type SizeBasis,
  type SizeCandidate,
  type SizeDecision,
  type SizeEvidence,
} from "./size-decision.ts";
export type { RiskPolicy, SizingSettings } from "./sizing-settings.ts";
export {
  createSizer,
  type FamilySummary,
  type MemoryEstimate,
  restoreSizer,
  type Sizer,
  type SizerOptions,
  type SizerState,
} from "./sizer.ts";
