import {
  type Brain,
  type BrainOptions,
  createBrain,
  type Decision,
  type Experience,
  openBrain,
  type Outcome,
  type Task,
  type TaskAnalysis,
} from "@queztl/brain";
import { inArray } from "drizzle-orm";
import type { Records } from "../database/database.ts";
import { experiences } from "../database/schema.ts";
import { BrainRecords } from "./brain-records.ts";

/** The one brain of a server, with its store. */
export class BrainHost {
  readonly #options: BrainOptions;
  readonly #records: Records;
  readonly store: BrainRecords;
  #brain: Brain;

  private constructor(parts: {
    options: BrainOptions;
    records: Records;
    store: BrainRecords;
    brain: Brain;
  }) {
    this.#options = parts.options;
    this.#records = parts.records;
    this.store = parts.store;
    this.#brain = parts.brain;
  }

  /** Opens the brain with all that was kept. Its decisions are named after this start, so no id comes twice. */
  static async open(records: Records, options: BrainOptions): Promise<BrainHost> {
    const store = new BrainRecords(records);
    const named = { ...options, store, name: `decision-${Date.now().toString(36)}` };
    return new BrainHost({ options: named, records, store, brain: await openBrain(named) });
  }

  get brain(): Brain {
    return this.#brain;
  }

  analyse(task: Task): TaskAnalysis {
    return this.#brain.analyse(task);
  }

  estimate(analysis: TaskAnalysis, task: string | null): Decision {
    return this.#assigned(this.#brain.estimate(analysis), task, 1);
  }

  /** Another decision after one whose memory was not enough. Throws `QZ_BRAIN_MEMORY_CAP_REACHED`. */
  retry(decision: Decision, task: string, attempt: number): Decision {
    return this.#assigned(this.#brain.retry(decision), task, attempt);
  }

  learn(outcome: Outcome, decision: Decision): Experience {
    return this.#brain.learn(outcome, decision);
  }

  flush(): Promise<void> {
    return this.#brain.flush();
  }

  /** Forgets runs and everything learned from them: what is left is learned anew. Returns how many were forgotten. */
  async forget(
    forgotten: (experience: { id: string; family: string; at: number }) => boolean,
  ): Promise<number> {
    const exported = this.#brain.export();
    const gone = exported.experiences.filter(forgotten).map(({ id }) => id);
    if (gone.length === 0) return 0;
    const kept = new Set(gone);
    const fresh = createBrain(this.#options);
    fresh.merge({
      ...fresh.export(),
      experiences: exported.experiences.filter(({ id }) => !kept.has(id)),
    });
    await this.store.settled();
    for (let at = 0; at < gone.length; at += 1000) {
      await this.#records
        .delete(experiences)
        .where(inArray(experiences.id, gone.slice(at, at + 1000)));
    }
    this.#brain = fresh;
    await fresh.flush();
    return gone.length;
  }

  #assigned(decision: Decision, task: string | null, attempt: number): Decision {
    this.store.assign(decision.id, task, attempt);
    return decision;
  }
}
