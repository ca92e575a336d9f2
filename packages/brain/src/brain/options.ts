import { DEFAULT_COSTS, type OperatingCosts } from "../optimise/recommendation.ts";
import type { ExplorationBudget } from "../resources/exploration.ts";
import { DEFAULT_SIZE_CLASSES, type SizeClass } from "../resources/size-class.ts";
import { type RiskPolicy, riskLevel } from "../sizer/sizing-settings.ts";
import { checkName, checkNumber } from "../checks.ts";
import { checkCount } from "./task.ts";
import type { BrainClock, BrainStore } from "./store.ts";
import type { Understander } from "../understand/index.ts";

/** How a brain is set up; every part may be left out. */
export interface BrainOptions {
  /** Where decisions and experiences are kept; nowhere but in memory unless given. */
  readonly store?: BrainStore;
  /** The time in seconds; the computer's unless given. */
  readonly clock?: BrainClock;
  /** From "cheap" over "balanced" (the default) to "safe", or a number from 0 to 1. */
  readonly policy?: RiskPolicy;
  /** Begins the ids of decisions and experiences; brains that will be merged need different names. */
  readonly name?: string;
  /** Reads descriptions; a fresh one of the brain's own unless given. */
  readonly understander?: Understander;
  readonly exploration?: ExplorationBudget;
  /** Seeds the draws of exploration. */
  readonly seed?: number;
  readonly sizeClasses?: readonly SizeClass[];
  readonly costs?: OperatingCosts;
  readonly mostMemoryMib?: number;
  readonly mostVcpus?: number;
  readonly mostGpus?: number;
  readonly defaultVcpus?: number;
  readonly defaultImage?: string;
  /** Experiences kept; 10,000 unless told. */
  readonly capacity?: number;
}

/** The options with everything filled in that does not need the brain itself. */
export type ResolvedOptions = Required<Omit<BrainOptions, "understander" | "store">> &
  Pick<BrainOptions, "understander" | "store">;

/** Fills in what was left out. Throws `QZ_BRAIN_INPUT_INVALID` for numbers that cannot be. */
export function resolveOptions(options: BrainOptions): ResolvedOptions {
  const resolved: ResolvedOptions = {
    clock: { now: () => Date.now() / 1000 },
    policy: "balanced",
    name: "brain",
    exploration: { rate: 0.1, failures: 0.05 },
    seed: 1,
    sizeClasses: DEFAULT_SIZE_CLASSES,
    costs: DEFAULT_COSTS,
    mostMemoryMib: 128 * 1024,
    mostVcpus: 16,
    mostGpus: 8,
    defaultVcpus: 2,
    defaultImage: "base",
    capacity: 10_000,
    ...options,
  };
  checkName("name", resolved.name);
  checkName("defaultImage", resolved.defaultImage);
  checkNumber("seed", resolved.seed);
  checkNumber("exploration.rate", resolved.exploration.rate, { min: 0, max: 0.5 });
  checkNumber("exploration.failures", resolved.exploration.failures, { min: 0, max: 1 });
  for (const field of ["mostMemoryMib", "mostVcpus", "defaultVcpus", "capacity"] as const) {
    checkCount(field, resolved[field], 1);
  }
  checkCount("mostGpus", resolved.mostGpus, 0);
  return resolved;
}

/** The parallel efficiency worth paying for: 0.75 where cheap, 0.6 balanced, 0.45 where safe (and fast). */
export const efficiencyFloor = (policy: RiskPolicy): number => 0.75 - 0.3 * riskLevel(policy);
