import { apicCases } from "./apic.ts";
import { branchCases } from "./branches.ts";
import { extendedStateCases } from "./extended-state.ts";
import { interruptCases } from "./interrupts.ts";
import { pagingCases } from "./paging.ts";
import { segmentCases } from "./segments.ts";
import { systemCases } from "./system.ts";
import { taskCases } from "./tasks.ts";
import type { Case } from "./world.ts";

/** Every conformance case, by chapter. */
export const CASES: Readonly<Record<string, readonly Case[]>> = {
  paging: pagingCases,
  segments: segmentCases,
  branches: branchCases,
  interrupts: interruptCases,
  tasks: taskCases,
  system: systemCases,
  apic: apicCases,
  "extended state": extendedStateCases,
};
