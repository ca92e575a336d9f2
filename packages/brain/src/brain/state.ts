import { fault } from "../errors.ts";
import { checkShape } from "../saved-shape.ts";
import { BRAIN_SHAPE } from "./state-shape.ts";
import type { ExplorationState } from "../resources/exploration.ts";
import type { ThroughputState } from "../resources/throughput-model.ts";
import type { ArrivalState } from "../optimise/arrivals.ts";
import type { FinishedRun, RecommendationState } from "../optimise/recommendation.ts";
import type { UnderstandState } from "../understand/index.ts";
import type { SizerState } from "../sizer/sizer.ts";

/** The version that this brain writes. */
export const STATE_VERSION = 2;

/** What one family's runs taught beside memory. */
export interface FamilyState {
  readonly family: string;
  readonly throughput: ThroughputState;
  /** Discounted sums of busy GPUs and of the runs that had some. */
  readonly gpus: [busy: number, weight: number];
  readonly images: [image: string, successes: number][];
}

/** How good the decisions were, and what others would have wasted on the same tasks. */
export interface ScoreState {
  readonly finished: number;
  readonly oom: number;
  readonly wasteGibHours: Readonly<Record<"brain" | "request" | "vpa", number>>;
  readonly covered: number[];
}

/** A brain's knowledge as a plain object for JSON: models and sums, without the single experiences. */
export interface BrainState {
  readonly version: number;
  readonly at: number;
  readonly nextId: number;
  readonly memory: SizerState;
  readonly disk: SizerState;
  readonly understanding: UnderstandState;
  readonly families: FamilyState[];
  readonly vcpuExplorer: ExplorationState;
  readonly memoryExplorer: ExplorationState;
  readonly arrivals: ArrivalState;
  readonly recommendations: RecommendationState;
  readonly scores: ScoreState;
  readonly runs: FinishedRun[];
  /** Experiences already learned from, so that those put after the save can be told apart. */
  readonly learned: string[];
}

type Migration = (state: Record<string, unknown>) => Record<string, unknown>;

// One step for each version, from it to the next. Version 1 is what a bare sizer saves.
const MIGRATIONS = new Map<number, Migration>([
  [1, (sizer) => ({ version: 2, at: sizer["at"], memory: sizer })],
]);

/** A state of which parts may be missing, because an older version did not know them. */
export type MigratedState = Pick<BrainState, "version" | "at" | "memory"> & Partial<BrainState>;

/**
 * Brings a saved state to the current version. Throws `QZ_BRAIN_STATE_TOO_NEW` for one of a later
 * version and `QZ_BRAIN_STATE_INVALID` for what no version ever wrote.
 */
export function migrateState(saved: unknown): MigratedState {
  const bad = (what: string) => fault("QZ_BRAIN_STATE_INVALID", { what });
  if (typeof saved !== "object" || saved === null) throw bad("it is not an object");
  let state = saved as Record<string, unknown>;
  for (;;) {
    const { version } = state;
    if (typeof version !== "number" || !Number.isInteger(version) || version < 1) {
      throw bad("it has no version");
    }
    if (version > STATE_VERSION) {
      throw fault("QZ_BRAIN_STATE_TOO_NEW", { version, supported: STATE_VERSION });
    }
    if (version === STATE_VERSION) break;
    const migrate = MIGRATIONS.get(version);
    if (migrate === undefined) throw bad(`version ${version} is not known`);
    state = migrate(state);
  }
  checkShape(BRAIN_SHAPE, state);
  return state as unknown as MigratedState;
}
