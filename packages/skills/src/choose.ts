import { skillsError } from "./errors.ts";
import type { SkillManifest } from "./manifest.ts";
import { fitsPattern } from "./names.ts";

/** What is known of a task when its skill is chosen. */
export interface SkillQuery {
  /** The user's own words. */
  readonly description: string;
  /** The kind of task where its user named it. */
  readonly family?: string | undefined;
  /** What it is about, as the brain sees it. */
  readonly domain?: string | undefined;
  /** The task's data: its keys count as words. */
  readonly data?: unknown;
  /** Names of its files. */
  readonly files?: readonly string[];
  /** Whether the task brings a command of its own. */
  readonly command?: boolean;
}

/** A skill and why it was taken, strongest reason first. */
export interface SkillChoice<Skill> {
  readonly skill: Skill;
  readonly reasons: readonly string[];
}

// A file that only this skill takes says more than a word; the domain decides unless both are against it.
const WEIGHTS = { domain: 3, undecided: 1, keyword: 1, file: 2, missing: -2, parameter: 1 };
/** What the brain says where it cannot tell: of itself it speaks for no skill. */
const UNDECIDED = "general";

/**
 * The skill that does a task: the one its user names as the family, or the best match of domain, words, data and files,
 * before all one that takes the data's keys and the files at all. A family that is no skill's name does not decide, nor
 * does that of a skill with a program for a task with its own command.
 * @throws QZ_SKILLS_NONE_FITS when too little speaks for any
 */
export function chooseSkill<Skill extends { readonly manifest: SkillManifest }>(
  skills: readonly Skill[],
  query: SkillQuery,
): SkillChoice<Skill> {
  // Once: data may have a million keys.
  const keys = keysOf(query.data);
  const fits = ({ manifest }: Skill) => (manifest.command === null) === (query.command ?? false);
  const named = skills.find(
    (skill) => skill.manifest.name === query.family && (query.command !== true || fits(skill)),
  );
  if (named !== undefined) return { skill: named, reasons: [`the family is ${query.family}`] };
  const [best] = skills
    .filter(fits)
    .map((skill) => ({ ...score(skill, query), takes: takes(skill.manifest, query, keys) }))
    .filter((choice) => choice.score >= WEIGHTS.domain)
    .sort((a, b) => Number(b.takes) - Number(a.takes) || b.score - a.score);
  if (best === undefined) {
    const named = query.family === undefined ? "" : `none is called ${query.family}, and `;
    const about =
      query.domain === undefined ? "its words fit none" : `its domain is ${query.domain}`;
    throw skillsError("QZ_SKILLS_NONE_FITS", {
      reason: named + about,
      known: skills.map(({ manifest }) => manifest.name).join(", "),
    });
  }
  return { skill: best.skill, reasons: best.reasons };
}

/** Whether a skill takes every key of the data and every file. */
function takes(
  { parameters, files: specs }: SkillManifest,
  { files }: SkillQuery,
  keys: readonly string[],
): boolean {
  const known = propertiesOf(parameters);
  const strict = parameters["additionalProperties"] === false;
  return (
    (!strict || keys.every((key) => known.includes(key))) &&
    (files ?? []).every((file) => specs.some(({ pattern }) => fitsPattern(pattern, file)))
  );
}

const propertiesOf = (parameters: SkillManifest["parameters"]): string[] =>
  Object.keys((parameters["properties"] as object | undefined) ?? {});

const keysOf = (data: unknown): string[] =>
  typeof data === "object" && data !== null ? Object.keys(data) : [];

const isGiven = (data: unknown, key: string): boolean =>
  typeof data === "object" && data !== null && Object.hasOwn(data, key);

function score<Skill extends { readonly manifest: SkillManifest }>(
  skill: Skill,
  query: SkillQuery,
): SkillChoice<Skill> & { readonly score: number } {
  const { manifest } = skill;
  const reasons: string[] = [];
  let total = 0;
  const add = (weight: number, reason: string) => {
    total += weight;
    if (weight > 0) reasons.push(reason);
  };
  if (manifest.command === null) add(WEIGHTS.domain, "the task brings its own command");
  else if (manifest.domain === query.domain) {
    const weight = query.domain === UNDECIDED ? WEIGHTS.undecided : WEIGHTS.domain;
    add(weight, `its domain is ${query.domain}`);
  }
  const words = ` ${query.description.toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, " ")} `;
  for (const keyword of manifest.keywords) {
    if (words.includes(` ${keyword.toLowerCase()}`)) add(WEIGHTS.keyword, `it says ${keyword}`);
  }
  for (const key of propertiesOf(manifest.parameters)) {
    if (isGiven(query.data, key)) add(WEIGHTS.parameter, `its data has ${key}`);
  }
  const files = query.files ?? [];
  for (const { pattern, required } of manifest.files) {
    const found = files.find((file) => fitsPattern(pattern, file));
    if (found !== undefined) add(WEIGHTS.file, `${found} is a file it takes`);
    else if (required) add(WEIGHTS.missing, `it needs ${pattern}`);
  }
  return { skill, reasons, score: total };
}
