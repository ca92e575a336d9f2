import { execFile } from "node:child_process";
import { mkdir, readFile, symlink } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { chooseSkill } from "../src/index.ts";
import { prepareSkill, SkillLibrary } from "../src/node/index.ts";
import { folderWith } from "../src/testing/folder.ts";

const example = join(import.meta.dirname, "../../../examples/skill");

/** The example among the skills of a home, as its README puts it there. */
async function exampleIn(home: string) {
  await mkdir(join(home, "skills"));
  await symlink(example, join(home, "skills/count-words"));
  return await (await SkillLibrary.open({ folder: join(home, "skills") })).look();
}

/** What its program leaves and says, run on this computer. */
async function run(text: Uint8Array | string, data: object) {
  await using home = await folderWith({
    "in/data.json": JSON.stringify(data),
    "in/files/poem.txt": text,
    "out/.keep": "",
  });
  const env = { ...process.env, QUEZTL_IN: home.file("in"), QUEZTL_OUT: home.file("out") };
  return await promisify(execFile)("python3", ["main.py"], { cwd: example, env }).then(
    async ({ stdout }) => ({
      stdout,
      code: 0,
      result: JSON.parse(await readFile(home.file("out/result.json"), "utf8")) as unknown,
    }),
    ({ stdout, code }: { stdout: string; code: number }) => ({ stdout, code, result: undefined }),
  );
}

test("the example in a home → chosen by its words, its files and data checked", async () => {
  await using home = await folderWith({ "poem.txt": "the cat and the dog\n", "poem.pdf": "x" });
  const { skills, broken } = await exampleIn(home.path);
  expect([...broken]).toEqual([]);
  const task = { description: "Count the words", domain: "general", files: ["poem.txt"] };
  const { skill } = chooseSkill(skills, task);
  expect(skill.manifest.name).toBe("count-words");
  const files = [{ name: "poem.txt", path: home.file("poem.txt") }];
  const prepared = await prepareSkill(skill, { data: { most: 2 }, files });
  expect(prepared.command).toEqual(["python3", "main.py"]);
  await expect(prepareSkill(skill, { data: { most: 0 }, files })).rejects.toMatchObject({
    code: "QZ_SKILLS_DATA_INVALID",
  });
  await expect(prepareSkill(skill)).rejects.toMatchObject({ code: "QZ_SKILLS_FILES_MISSING" });
});

test("words that say nothing of counting → not the example, though its domain is the one of everything", async () => {
  await using home = await folderWith({});
  const { skills } = await exampleIn(home.path);
  expect(() => chooseSkill(skills, { description: "hello", domain: "general" })).toThrow(
    expect.objectContaining({ code: "QZ_SKILLS_NONE_FITS" }),
  );
});

test("its program → counts, tells how far it is, and refuses what is no text", async () => {
  const counted = await run("the cat and the dog\n", { most: 1 });
  expect(counted).toMatchObject({ code: 0, result: { words: 5, most: [["the", 2]] } });
  expect(counted.stdout).toContain('queztl:{"done": 0.0, "step": "count"');
  const refused = await run(Uint8Array.of(0xff, 0xfe, 0xff), {});
  expect(refused).toMatchObject({ code: 65, stdout: expect.stringContaining("is no text") });
});
