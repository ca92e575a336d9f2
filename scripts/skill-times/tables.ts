import { readFileSync } from "node:fs";
import { join } from "node:path";
import { format, resolveConfig } from "prettier";
import { root } from "../workspace.ts";

/** What of `benchmarks/results/skills.json` the tables show. */
export interface SkillsRecord {
  readonly cases: readonly {
    /** The skill, a comma, and what it was given. */
    readonly name: string;
    readonly ours: { readonly median: number; readonly peakMib?: number };
    readonly peers: readonly {
      readonly name: string;
      readonly median?: number;
      readonly ratio?: { readonly median: number };
    }[];
  }[];
}

const BEGIN = "<!-- measured: `pnpm skill-times` writes this -->";
const END = "<!-- /measured -->";

/** What the bench of the skills has measured last. */
export function measured(): SkillsRecord {
  const file = join(root, "benchmarks/results/skills.json");
  return JSON.parse(readFileSync(file, "utf8")) as SkillsRecord;
}

/** The skills that were measured, each once. */
export function skillsIn({ cases }: SkillsRecord): string[] {
  return [...new Set(cases.map(({ name }) => partsOf(name).skill))];
}

/** Where a skill tells about itself. */
export function readmeOf(skill: string): string {
  return join(root, "packages/skills/skills", skill, "README.md");
}

/** A README with the table of what was measured of its skill, and everything else as it is. Throws where it has no place for it. */
export async function withTimes(
  readme: string,
  skill: string,
  record: SkillsRecord,
): Promise<string> {
  const [begin, end] = [readme.indexOf(BEGIN), readme.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`${skill}: there is no ${BEGIN} … ${END}`);
  const text = [
    readme.slice(0, begin) + BEGIN,
    "",
    ...tableOf(skill, record),
    "",
    readme.slice(end),
  ].join("\n");
  return await format(text, {
    ...(await resolveConfig(readmeOf(skill))),
    parser: "markdown",
  });
}

function tableOf(skill: string, { cases }: SkillsRecord): string[] {
  const rows = cases
    .map((each) => ({ ...each, ...partsOf(each.name) }))
    .filter((each) => each.skill === skill)
    .map(({ input, ours, peers }) => {
      const native = peers.find(({ name }) => name === "native");
      const { median, ratio } = native ?? {};
      const cells = [
        input,
        seconds(ours.median),
        median === undefined ? "–" : seconds(median),
        ratio === undefined ? "–" : significant(1 / ratio.median),
        ours.peakMib === undefined ? "–" : `${Math.ceil(ours.peakMib)} MiB`,
      ];
      return `| ${cells.join(" | ")} |`;
    });
  return ["| input | in the guest | natively | times | peak memory |", "|-|-|-|-|-|", ...rows];
}

function partsOf(name: string): { readonly skill: string; readonly input: string } {
  const [skill = "", ...input] = name.split(", ");
  return { skill, input: input.join(", ") };
}

/** Two digits are what two runs agree on. */
const significant = (value: number): string =>
  value.toLocaleString("en", { maximumSignificantDigits: 2, useGrouping: false });

const seconds = (value: number): string => `${significant(value)} s`;
