import { vpaPolicy } from "../sizer/baselines.ts";
import { COLD_START_MIB, onGrid } from "../sizer/allocation.ts";
import type { MemoryPolicy } from "../sizer/memory-policy.ts";
import type { Experience } from "./experience.ts";
import type { ScoreState } from "./state.ts";

const RECENT = 200;
const MOST_RETRIES = 20;

/**
 * Keeps count of what the brain's memory wasted, and what the user's request and VPA would have wasted
 * on the same tasks. VPA learns along; after a restart it starts anew, as its sums do not.
 */
export class Scores {
  #finished = 0;
  #oom = 0;
  readonly #waste = { brain: 0, request: 0, vpa: 0 };
  #covered: number[] = [];
  readonly #vpa: MemoryPolicy = vpaPolicy(0.9, 1.15);

  learn(experience: Experience, expectedMib: readonly [number, number] | undefined): void {
    const { memoryMib, peakMib, wallSeconds, outcome, requestMib, at } = experience;
    const gibHours = (mib: number) => (mib * wallSeconds) / 1024 / 3600;
    if (outcome === "oom") {
      this.#oom += 1;
      this.#waste.brain += gibHours(memoryMib);
    }
    if (outcome !== "ok") return;
    this.#finished += 1;
    this.#waste.brain += gibHours(Math.max(0, memoryMib - peakMib));
    const wouldWaste = (firstMib: number) => {
      let given = onGrid(firstMib);
      let waste = 0;
      for (let i = 0; given < peakMib && i < MOST_RETRIES; i += 1) {
        waste += given;
        given *= 2;
      }
      return gibHours(waste + Math.max(0, given - peakMib));
    };
    this.#waste.request += wouldWaste(requestMib ?? COLD_START_MIB);
    this.#waste.vpa += wouldWaste(this.#vpa.estimate(experience).memoryMib);
    this.#vpa.observe({
      family: experience.family,
      inputBytes: experience.inputBytes,
      allocatedMib: memoryMib,
      peakMib,
      runtimeSeconds: wallSeconds,
      outcome: "ok",
      at,
    });
    if (expectedMib === undefined) return;
    this.#covered.push(peakMib >= expectedMib[0] && peakMib <= expectedMib[1] ? 1 : 0);
    if (this.#covered.length > RECENT) this.#covered.shift();
  }

  save(): ScoreState {
    return {
      finished: this.#finished,
      oom: this.#oom,
      wasteGibHours: { ...this.#waste },
      covered: [...this.#covered],
    };
  }

  restore(state: ScoreState): void {
    this.#finished = state.finished;
    this.#oom = state.oom;
    Object.assign(this.#waste, state.wasteGibHours);
    this.#covered = [...state.covered];
  }
}
