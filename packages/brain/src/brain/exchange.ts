import { vectorDimensions } from "../recall/index.ts";
import { checkShape } from "../saved-shape.ts";
import type { UnderstandState } from "../understand/index.ts";
import { fault } from "../errors.ts";
import { checkExperience, type Experience } from "./experience.ts";
import type { BrainExport, ExportedExperience } from "./knowledge.ts";
import { type MigratedState, migrateState } from "./state.ts";

/** Reads an export of any version, or a bare state, such as a sizer saves, as one without experiences. */
export function readExport(given: unknown): { state: MigratedState; experiences: Experience[] } {
  const whole = given as Partial<BrainExport> | null;
  if (typeof whole !== "object" || whole === null || whole.format !== "queztl-brain") {
    return { state: migrateState(given), experiences: [] };
  }
  const list: unknown = whole.experiences;
  checkShape({ list: { record: { embedding: { list: "number" } } } }, list, "experiences");
  const experiences = (list as ExportedExperience[]).map((exported): Experience => {
    const { embedding, features, ...rest } = exported;
    const vector = Float32Array.from(embedding);
    if (vector.length !== vectorDimensions || typeof features !== "object" || features === null) {
      throw fault("QZ_BRAIN_STATE_INVALID", { what: "an experience has no vector or features" });
    }
    const experience: Experience = { ...rest, features, embedding: vector };
    checkExperience(experience);
    return experience;
  });
  return { state: migrateState(whole.state), experiences };
}

/** The experiences of both in the order of time, whichever brain merges the other. */
export function mergeExperiences(
  own: readonly Experience[],
  others: readonly Experience[],
): Experience[] {
  const all = new Map<string, Experience>();
  for (const experience of [...own, ...others]) {
    const { id } = experience;
    const known = all.get(id);
    if (known === undefined) all.set(id, experience);
    // Two brains of one name number alike: what differs is another experience.
    else if (!sameRun(known, experience)) all.set(`${id}~`, { ...experience, id: `${id}~` });
  }
  return [...all.values()].sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
}

/** What both were taught, in an order that does not depend on who merges whom. */
export function mergeTaught(
  own: UnderstandState,
  other: UnderstandState | undefined,
): UnderstandState {
  if (other === undefined) return own;
  const union = <T>(a: readonly T[], b: readonly T[]) =>
    [...new Map([...a, ...b].map((entry) => [JSON.stringify(entry), entry]))]
      .sort(([x], [y]) => (x < y ? -1 : 1))
      .map(([, entry]) => entry);
  return {
    version: 1,
    examples: union(own.examples, other.examples),
    families: union(own.families, other.families),
  };
}

const sameRun = (a: Experience, b: Experience) =>
  a.at === b.at && a.family === b.family && a.peakMib === b.peakMib && a.outcome === b.outcome;
