import { apicCases } from "./apic.ts";
import { extendedStateCases } from "./extended-state.ts";
import { interruptCases } from "./interrupts.ts";
import { pagingCases } from "./paging.ts";
import { segmentCases } from "./segments.ts";
import { systemCases } from "./system.ts";
import type { Case } from "./world.ts";

/** Every conformance case, by chapter. */
export const CASES: Readonly<Record<string, readonly Case[]>> = {
  paging: pagingCases,
  segments: segmentCases,
  interrupts: interruptCases,
  system: systemCases,
  apic: apicCases,
  "extended state": extendedStateCases,
};
