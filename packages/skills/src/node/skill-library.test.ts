import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { folderWith } from "../testing/folder.ts";
import { SkillLibrary } from "./skill-library.ts";

const manifest = (name: string) =>
  JSON.stringify({
    name,
    version: "1.0.0",
    title: "t",
    summary: "s",
    domain: "general",
    command: ["sh", "main.sh"],
    parameters: {},
  });

const namesOf = async (library: SkillLibrary) =>
  (await library.look()).skills.map(({ manifest }) => manifest.name);

test("a folder dropped in, a linked one, packages of npm → there at the next look, gone with it", async () => {
  await using home = await folderWith({});
  await using elsewhere = await folderWith({ "skill.json": manifest("linked") });
  const library = await SkillLibrary.open({ folder: home.file("skills") });
  const builtIn = await namesOf(library);
  expect(builtIn).toContain("magnetic-survey");

  await mkdir(home.file("skills/node_modules/@me/packed"), { recursive: true });
  await mkdir(home.file("skills/node_modules/no-skill"), { recursive: true });
  await mkdir(home.file("skills/mine"));
  await writeFile(home.file("skills/package.json"), "{}");
  await writeFile(home.file("skills/mine/skill.json"), manifest("mine"));
  await writeFile(home.file("skills/node_modules/@me/packed/skill.json"), manifest("packed"));
  await symlink(elsewhere.path, home.file("skills/linked"));
  expect(await namesOf(library)).toEqual([...builtIn, "linked", "mine", "packed"]);

  await rm(home.file("skills/mine"), { recursive: true });
  expect(await namesOf(library)).toEqual([...builtIn, "linked", "packed"]);
});

test("a folder that is no skill → told once, by its name, and the others are there", async () => {
  await using home = await folderWith({
    "broken/skill.json": "{",
    "good/skill.json": manifest("good"),
  });
  const told: string[] = [];
  const library = await SkillLibrary.open({
    folder: home.path,
    onBroken: ({ code }) => told.push(code),
  });
  const { skills, broken } = await library.look();
  expect(skills.at(-1)?.manifest.name).toBe("good");
  expect(broken.get("broken")?.code).toBe("QZ_SKILLS_MANIFEST_INVALID");
  await library.look();
  expect(told).toEqual(["QZ_SKILLS_MANIFEST_INVALID"]);
});
