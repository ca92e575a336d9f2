import type { Decision } from "./decision.ts";
import type { Experience } from "./experience.ts";
import type { BrainState } from "./state.ts";

/** Tells the time in seconds; the same clock for every task. */
export interface BrainClock {
  now(): number;
}

/**
 * Where a brain keeps what must outlive it. Calls come in order; each may finish later, and `flush` of
 * the brain waits for all of them. Keep decisions as long as they are to be explained.
 */
export interface BrainStore {
  /** What was saved last, undefined for a new brain. */
  loadState(): Promise<BrainState | undefined>;
  /** The whole of a brain's knowledge, at `flush`. */
  saveState(state: BrainState): Promise<void>;
  /** Every experience put and not deleted, in any order. */
  loadExperiences(): Promise<readonly Experience[]>;
  putExperience(experience: Experience): Promise<void>;
  deleteExperience(id: string): Promise<void>;
  putDecision(decision: Decision): Promise<void>;
  getDecision(id: string): Promise<Decision | undefined>;
}

/** A store that lasts as long as its process: for tests and for trying things out. */
export function createMemoryStore(): BrainStore {
  let saved: string | undefined;
  const experiences = new Map<string, Experience>();
  const decisions = new Map<string, Decision>();
  return {
    async loadState() {
      return saved === undefined ? undefined : (JSON.parse(saved) as BrainState);
    },
    async saveState(state) {
      saved = JSON.stringify(state);
    },
    async loadExperiences() {
      return [...experiences.values()];
    },
    async putExperience(experience) {
      experiences.set(experience.id, experience);
    },
    async deleteExperience(id) {
      experiences.delete(id);
    },
    async putDecision(decision) {
      decisions.set(decision.id, decision);
    },
    async getDecision(id) {
      return decisions.get(id);
    },
  };
}
