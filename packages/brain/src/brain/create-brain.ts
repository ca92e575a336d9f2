import type { Brain } from "./brain.ts";
import { LearningBrain } from "./learning-brain.ts";
import { type BrainOptions, resolveOptions } from "./options.ts";
import { migrateState } from "./state.ts";

/** Makes a brain without knowledge. */
export function createBrain(options: BrainOptions = {}): Brain {
  return new LearningBrain(resolveOptions(options));
}

/** Makes a brain with what its store holds: the saved models, then the experiences put since. */
export async function openBrain(options: BrainOptions): Promise<Brain> {
  const brain = new LearningBrain(resolveOptions(options));
  const { store } = options;
  if (store !== undefined) {
    const [saved, experiences] = [await store.loadState(), await store.loadExperiences()];
    brain.load(saved === undefined ? undefined : migrateState(saved), experiences);
  }
  return brain;
}
