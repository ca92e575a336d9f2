import { ThroughputModel } from "../resources/throughput-model.ts";
import type { Experience } from "./experience.ts";
import type { FamilyState } from "./state.ts";

const GPU_DISCOUNT = 0.9;
const MOST_IMAGES = 32;

/** What one family's runs taught beside memory: speed, GPUs and images. */
export class FamilyKnowledge {
  readonly throughput = new ThroughputModel();
  #busyGpus = 0;
  #gpuRuns = 0;
  readonly #images = new Map<string, number>();

  /** GPUs kept busy on average, undefined while no run had any. */
  get busyGpus(): number | undefined {
    return this.#gpuRuns === 0 ? undefined : this.#busyGpus / this.#gpuRuns;
  }

  get images(): { readonly image: string; readonly successes: number }[] {
    return Array.from(this.#images, ([image, successes]) => ({ image, successes }));
  }

  learn(experience: Experience): void {
    const { inputBytes, vcpus, wallSeconds, cpuSeconds, at, outcome } = experience;
    // A run that memory, its user or a defect ended shows how long it took to get there, no more.
    const finished = outcome === "ok";
    this.throughput.learn({ inputBytes, vcpus, wallSeconds, cpuSeconds, at, finished });
    if (!finished) return;
    if (experience.gpus > 0 && experience.gpuSeconds !== undefined && wallSeconds > 0) {
      const busy = Math.min(experience.gpuSeconds / wallSeconds, experience.gpus);
      this.#busyGpus = this.#busyGpus * GPU_DISCOUNT + busy;
      this.#gpuRuns = this.#gpuRuns * GPU_DISCOUNT + 1;
    }
    if (this.#images.size < MOST_IMAGES || this.#images.has(experience.image)) {
      this.#images.set(experience.image, (this.#images.get(experience.image) ?? 0) + 1);
    }
  }

  save(family: string): FamilyState {
    return {
      family,
      throughput: this.throughput.save(),
      gpus: [this.#busyGpus, this.#gpuRuns],
      images: [...this.#images],
    };
  }

  restore(state: FamilyState): void {
    this.throughput.restore(state.throughput);
    [this.#busyGpus, this.#gpuRuns] = state.gpus;
    for (const [image, successes] of state.images) this.#images.set(image, successes);
  }
}
