import type { StoredStep } from "../database/schema.ts";
import type { Metrics } from "../observe/metrics.ts";
import { traced } from "../observe/tracing.ts";

type StepName = StoredStep["step"];

/** The steps of an attempt, and how long each took. */
export class AttemptSteps {
  readonly #task: string;
  readonly #metrics: Metrics;
  #steps: StoredStep[] = [];

  constructor(task: string, metrics: Metrics) {
    this.#task = task;
    this.#metrics = metrics;
  }

  get list(): StoredStep[] {
    return [...this.#steps];
  }

  /** Goes on after what an earlier server did; what it was at when it ended is done again. */
  resume(found: readonly StoredStep[]): void {
    this.#steps = found.filter(({ state }) => state === "done");
  }

  /** Does a step and keeps how long it took. */
  async take<Result>(step: StepName, work: () => Promise<Result>): Promise<Result> {
    const at = this.#steps.push({ step, state: "running", milliseconds: null }) - 1;
    const started = performance.now();
    const over = (state: "done" | "failed") => {
      const milliseconds = performance.now() - started;
      this.#steps[at] = { step, state, milliseconds };
      this.#metrics.steps.observe({ step }, milliseconds / 1000);
    };
    try {
      const result = await traced(`task.${step}`, { task: this.#task }, work);
      over("done");
      return result;
    } catch (cause) {
      over("failed");
      throw cause;
    }
  }
}
