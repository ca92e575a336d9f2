import { symlink } from "node:fs/promises";
import { expect, test } from "vitest";
import { folderWith } from "../testing/folder.ts";
import { builtInSkills, findSkill, loadSkill, loadSkills } from "./skill.ts";

const mine = JSON.stringify({
  name: "magnetic-survey",
  version: "9.0.0",
  title: "mine",
  summary: "s",
  domain: "mining",
  command: ["sh", "main.sh"],
  parameters: {},
});

test("a user's skill of a built-in's name → replaces it", async () => {
  await using home = await folderWith({
    "mag/skill.json": mine,
    "mag/main.sh": "true",
    "mag/test_x.py": "",
    "mag/.git/x": "",
  });
  const skills = await loadSkills([builtInSkills, home.path, "/nowhere/at/all"]);
  const skill = findSkill(skills, "magnetic-survey");
  expect(skill.manifest.version).toBe("9.0.0");
  expect(skill.files.map(({ path }) => path)).toEqual(["main.sh", "skill.json"]);
});

test.each([
  ["no manifest", { "a/main.sh": "" }, "QZ_SKILLS_FOLDER_INVALID"],
  ["a manifest that is no JSON", { "a/skill.json": "{" }, "QZ_SKILLS_MANIFEST_INVALID"],
])("a folder with %s → %s", async (_name, files, code) => {
  await using home = await folderWith(files);
  await expect(loadSkills([home.path])).rejects.toMatchObject({ code });
});

test("a folder with a link → QZ_SKILLS_FOLDER_INVALID", async () => {
  await using home = await folderWith({ "skill.json": mine });
  await symlink("/etc/passwd", home.file("passwd"));
  await expect(loadSkill(home.path)).rejects.toMatchObject({ code: "QZ_SKILLS_FOLDER_INVALID" });
});

test("an unknown name → QZ_SKILLS_UNKNOWN", () => {
  expect(() => findSkill([], "nothing")).toThrow(
    expect.objectContaining({ code: "QZ_SKILLS_UNKNOWN" }),
  );
});
