import { apicCases } from "./apic.ts";
import { branchCases } from "./branches.ts";
import { extendedStateCases } from "./extended-state.ts";
import { interruptCases } from "./interrupts.ts";
import { pagingCases } from "./paging.ts";
import { segmentCases } from "./segments.ts";
import { systemCases } from "./system.ts";
import { taskEventCases } from "./task-events.ts";
import { taskRefusalCases, taskReturnCases, taskStateCases } from "./task-faults.ts";
import { taskSwitchCases } from "./task-switches.ts";
import { interruptWindowCases } from "./interrupt-windows.ts";
import { debuggingCases } from "./debugging.ts";
import { restartCases } from "./restarts.ts";
import { farTransferCases } from "./far-transfers.ts";
import { virtual8086Cases } from "./virtual-8086.ts";
import { fastCallCases } from "./fast-calls.ts";
import { translationCases } from "./translations.ts";
import { legacyPagingCases } from "./legacy-paging.ts";
import { msrCases } from "./msrs.ts";
import { portCases } from "./ports.ts";
import { offeredCases } from "./offered.ts";
import { changingCodeCases } from "./changing-code.ts";
import type { Case } from "./world.ts";

/** Every conformance case, by chapter. */
export const CASES: Readonly<Record<string, readonly Case[]>> = {
  paging: pagingCases,
  translations: translationCases,
  "legacy paging": legacyPagingCases,
  segments: segmentCases,
  "far transfers": farTransferCases,
  "virtual 8086": virtual8086Cases,
  "fast calls": fastCallCases,
  branches: branchCases,
  interrupts: interruptCases,
  "interrupt windows": interruptWindowCases,
  debugging: debuggingCases,
  restarts: restartCases,
  "task switches": taskSwitchCases,
  "tasks that are refused": taskRefusalCases,
  "returns to tasks": taskReturnCases,
  "faults of new tasks": taskStateCases,
  "task gates": taskEventCases,
  system: systemCases,
  msrs: msrCases,
  ports: portCases,
  offered: offeredCases,
  "changing code": changingCodeCases,
  apic: apicCases,
  "extended state": extendedStateCases,
};
