import { type AllocationGrid, COLD_START_MIB, DEFAULT_GRID } from "./allocation.ts";

/** How much memory may be wasted to avoid a failure: a name or a number from 0 (cheap) to 1 (safe). */
export type RiskPolicy = "cheap" | "balanced" | "safe" | number;

/** The numbers every model of the sizer is run with. */
export interface SizingSettings {
  readonly grid: AllocationGrid;
  readonly coldStartMib: number;
  /** The part of its run after which an under-sized attempt is taken to die: 1 is the worst case. */
  readonly failureFraction: number;
  /** What an OOM costs on top of its wasted memory, in mean costs of one of the family's tasks. */
  readonly failurePenalty: number;
  /** The same for a family's first tasks, in mean peaks of the families recalled. */
  readonly coldFailurePenalty: number;
  /** Samples kept in detail for one family. */
  readonly windowSize: number;
  /** Families known at once; the least valuable is forgotten first. */
  readonly mostFamilies: number;
}

const LEVELS = { cheap: 0, balanced: 0.5, safe: 1 } as const;

/** The point from 0 to 1 that a policy stands for. */
export const riskLevel = (policy: RiskPolicy): number =>
  typeof policy === "number" ? policy : LEVELS[policy];

/** The settings of a policy; each step of 0.25 doubles what a failure is taken to cost. */
export function settingsFor(policy: RiskPolicy): SizingSettings {
  const scale = 16 ** (riskLevel(policy) - 0.5);
  return {
    grid: DEFAULT_GRID,
    coldStartMib: COLD_START_MIB,
    failureFraction: 1,
    failurePenalty: 5 * scale,
    coldFailurePenalty: 2 * scale,
    windowSize: 256,
    mostFamilies: 4096,
  };
}
