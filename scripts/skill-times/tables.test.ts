import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../workspace.ts";
import { measured, readmeOf, skillsIn, type SkillsRecord, withTimes } from "./tables.ts";

const record: SkillsRecord = {
  cases: [
    {
      name: "dig, 1,000 holes",
      ours: { median: 24.51, peakMib: 63.8 },
      peers: [{ name: "native", median: 0.554, ratio: { median: 0.02396 } }],
    },
    { name: "dig, 10,000 holes", ours: { median: 123.4 }, peers: [{ name: "native" }] },
    { name: "other, 1 hole", ours: { median: 1 }, peers: [] },
  ],
};

test("a README with a place for it → the table of its own skill, formatted; the rest as it was", async () => {
  const before =
    "# dig\n\n<!-- measured: `pnpm skill-times` writes this -->\nold\n<!-- /measured -->\n\nMore.\n";
  const after = await withTimes(before, "dig", record);
  expect(after.split("\n")).toEqual([
    "# dig",
    "",
    "<!-- measured: `pnpm skill-times` writes this -->",
    "",
    "| input        | in the guest | natively | times | peak memory |",
    "| ------------ | ------------ | -------- | ----- | ----------- |",
    "| 1,000 holes  | 25 s         | 0.55 s   | 42    | 64 MiB      |",
    "| 10,000 holes | 120 s        | –        | –     | –           |",
    "",
    "<!-- /measured -->",
    "",
    "More.",
    "",
  ]);
  expect(await withTimes(after, "dig", record)).toBe(after);
});

test("a README without a place for it → said which", async () => {
  await expect(withTimes("# dig\n", "dig", record)).rejects.toThrow("dig: there is no");
});

test.each(skillsIn(measured()))(
  "%s's README → has the times that were measured last",
  async (skill) => {
    const readme = readFileSync(readmeOf(skill), "utf8");
    expect(await withTimes(readme, skill, measured()), "run `pnpm skill-times`").toBe(readme);
  },
);

test("every skill that comes with Queztl → measured, and its README shows a picture that is there", () => {
  const folder = join(root, "packages/skills/skills");
  const skills = readdirSync(folder).toSorted();
  expect(skillsIn(measured()).toSorted()).toEqual(skills);
  for (const skill of skills) {
    const picture = /!\[[^\]]+\]\(([^)]+\.png)\)/.exec(readFileSync(readmeOf(skill), "utf8"))?.[1];
    expect(existsSync(join(folder, skill, picture ?? "none")), skill).toBe(true);
  }
});
