import { createRecall, type RecallMatch, type RecallQuery } from "../recall/index.ts";
import type { Experience } from "./experience.ts";

/**
 * The experiences kept, searched exactly, at most `capacity`. When full it forgets what teaches least: the oldest
 * ordinary success of the family with the most of them. A family's largest peak and its failures go
 * last, and a family's only experience is kept while any family has two.
 */
export class ExperienceMemory {
  readonly #capacity: number;
  readonly #recall: ReturnType<typeof createRecall>;
  readonly #kept = new Map<string, Experience>();
  /** Ids by family, the oldest first. */
  readonly #families = new Map<string, Set<string>>();

  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#recall = createRecall({ capacity });
  }

  get size(): number {
    return this.#kept.size;
  }

  has(id: string): boolean {
    return this.#kept.has(id);
  }

  all(): IterableIterator<Experience> {
    return this.#kept.values();
  }

  /** The experiences of one family, the oldest first. */
  family(name: string): Experience[] {
    return [...(this.#families.get(name) ?? [])].map((id) => this.#kept.get(id) as Experience);
  }

  /** Adds an experience; returns the ids of those forgotten for it. */
  add(experience: Experience): string[] {
    const forgotten: string[] = [];
    while (this.#kept.size >= this.#capacity && !this.#kept.has(experience.id)) {
      const id = this.#leastValuable();
      this.#remove(id);
      forgotten.push(id);
    }
    this.#kept.set(experience.id, experience);
    const { id, family, embedding, outcome } = experience;
    const features = nonNegative(experience.features);
    this.#recall.add({ id, family, embedding, features, outcome });
    const ids = this.#families.get(family);
    if (ids === undefined) this.#families.set(family, new Set([id]));
    else ids.add(id);
    return forgotten;
  }

  nearest(query: RecallQuery): RecallMatch[] {
    return this.#recall.nearest({ ...query, features: nonNegative(query.features ?? {}) });
  }

  #remove(id: string): void {
    const experience = this.#kept.get(id);
    if (experience === undefined) return;
    this.#kept.delete(id);
    this.#recall.remove(id);
    const ids = this.#families.get(experience.family);
    ids?.delete(id);
    if (ids?.size === 0) this.#families.delete(experience.family);
  }

  #leastValuable(): string {
    let largest: Set<string> | undefined;
    for (const ids of this.#families.values()) {
      if (largest === undefined || ids.size > largest.size) largest = ids;
    }
    let oldest: string | undefined;
    let highest: Experience | undefined;
    for (const id of largest ?? []) {
      const experience = this.#kept.get(id) as Experience;
      if (experience.outcome !== "ok") continue;
      if (highest === undefined || experience.peakMib > highest.peakMib) highest = experience;
    }
    for (const id of largest ?? []) {
      oldest ??= id;
      if (this.#kept.get(id)?.outcome === "ok" && id !== highest?.id) return id;
    }
    return oldest ?? "";
  }
}

function nonNegative(features: Readonly<Record<string, number>>): Record<string, number> {
  const kept: Record<string, number> = {};
  for (const [name, value] of Object.entries(features)) {
    if (Number.isFinite(value) && value >= 0 && name !== "__proto__") kept[name] = value;
  }
  return kept;
}
