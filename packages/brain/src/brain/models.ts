import { efficiency, slowdown, type ResourceEvidence } from "../resources/resource-decision.ts";
import { durationText } from "./explain.ts";
import { createSizer, restoreSizer, type Sizer, type SizerState } from "../sizer/sizer.ts";
import type { SizerOptions } from "../sizer/sizer.ts";
import { diskObservation, type Experience, memoryObservation } from "./experience.ts";
import { FamilyKnowledge } from "./family-knowledge.ts";
import type { ResolvedOptions } from "./options.ts";
import type { FamilyState } from "./state.ts";

const DISK_GRID = { floorMib: 256, stepMib: 256, capMib: 16 * 1024 * 1024 };
const DEFAULT_DISK_MIB = 10 * 1024;
const MOST_FAMILIES = 4096;

/** Everything that is learned from experiences and could be rebuilt from them. */
export class Models {
  readonly memory: Sizer;
  readonly disk: Sizer;
  readonly #families = new Map<string, FamilyKnowledge>();

  constructor(
    options: ResolvedOptions,
    saved?: { memory: SizerState; disk?: SizerState | undefined },
  ) {
    const { policy, mostMemoryMib } = options;
    const memory: SizerOptions = {
      policy,
      settings: { grid: { floorMib: 64, stepMib: 16, capMib: mostMemoryMib } },
    };
    const disk: SizerOptions = {
      policy,
      settings: { grid: DISK_GRID, coldStartMib: DEFAULT_DISK_MIB },
    };
    this.memory = saved === undefined ? createSizer(memory) : restoreSizer(saved.memory, memory);
    this.disk = saved?.disk === undefined ? createSizer(disk) : restoreSizer(saved.disk, disk);
  }

  family(name: string): FamilyKnowledge | undefined {
    return this.#families.get(name);
  }

  learn(experience: Experience): void {
    const memory = memoryObservation(experience);
    if (memory !== undefined) this.memory.observe(memory);
    const disk = diskObservation(experience);
    if (disk !== undefined) this.disk.observe(disk);
    let family = this.#families.get(experience.family);
    if (family === undefined) {
      if (this.#families.size >= MOST_FAMILIES) {
        const [oldest] = this.#families.keys();
        if (oldest !== undefined) this.#families.delete(oldest);
      }
      family = new FamilyKnowledge();
    }
    // The family heard of last goes to the end: the first is the one to forget.
    this.#families.delete(experience.family);
    this.#families.set(experience.family, family);
    family.learn(experience);
  }

  advance(at: number): void {
    this.memory.advance(at);
    this.disk.advance(at);
  }

  saveFamilies(): FamilyState[] {
    return Array.from(this.#families, ([name, family]) => family.save(name));
  }

  restoreFamilies(states: readonly FamilyState[]): void {
    for (const state of states) {
      const family = new FamilyKnowledge();
      family.restore(state);
      this.#families.set(state.family, family);
    }
  }
}

/** Why so many vCPUs and so much time, in plain words. */
export function speedReasons(evidence: ResourceEvidence, vcpus: number): string[] {
  const { throughput, defaultVcpus } = evidence;
  if (throughput === undefined) {
    return [
      `no run of this family has been timed: ${counted(defaultVcpus, "vCPU")} and a generous time limit`,
    ];
  }
  const { serialShare, parallelRuns, work, samples } = throughput;
  const reasons: string[] = [];
  if (parallelRuns > 0) {
    const used = Math.round(efficiency(serialShare, vcpus) * 100);
    reasons.push(
      `${counted(vcpus, "vCPU")} would be ${used} % busy (measured on ${counted(parallelRuns, "parallel run")})`,
    );
  } else {
    reasons.push("how well it spreads over vCPUs has not been measured yet");
  }
  const middle = durationText(work.middle * slowdown(serialShare, vcpus));
  reasons.push(
    `about ${middle} from ${counted(samples, "timed run")} of this family, scaled by input size`,
  );
  return reasons;
}

const counted = (count: number, noun: string) => `${count} ${noun}${count === 1 ? "" : "s"}`;
