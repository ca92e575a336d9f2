import { symlink } from "node:fs/promises";
import fc from "fast-check";
import { expect, test } from "vitest";
import { pathProblem } from "../names.ts";
import { parseManifest } from "../manifest.ts";
import { folderWith } from "../testing/folder.ts";
import { prepareSkill } from "./prepare.ts";
import { builtInSkills, findSkill, loadSkills } from "./skill.ts";
import type { Skill } from "./skill.ts";

const skills = await loadSkills([builtInSkills]);
const survey = findSkill(skills, "magnetic-survey");

const lines = "x,y,field\n0,0,48000\n1,0,48001\n";

test("data and files that fit → the program, the data and the files with their places in the guest", async () => {
  await using folder = await folderWith({ "lines.csv": lines });
  const run = await prepareSkill(survey, {
    data: { inclination: 60, declination: 2 },
    files: [{ name: "lines.csv", path: folder.file("lines.csv") }],
  });
  const places = run.files.map(({ to }) => to);
  expect(places).toEqual(
    expect.arrayContaining([
      "/queztl/lib/queztl_skill/task.py",
      "/queztl/skill/main.py",
      "/queztl/in/data.json",
      "/queztl/in/files/lines.csv",
    ]),
  );
  expect(places.filter((place) => /test_|__pycache__|README/.test(place))).toEqual([]);
  expect(run.inputBytes).toBe(lines.length + '{"inclination":60,"declination":2}'.length);
  expect(run.environment).toMatchObject({ QUEZTL_IN: "/queztl/in", QUEZTL_OUT: "/queztl/out" });
});

test.each([
  ["a wrong type", { points: "many" }],
  ["a claim of ten billion points", { points: 1e10 }],
  ["an unknown key", { pionts: 1000 }],
  ["a NaN that JSON makes null", { inclination: null }],
  ["a list", []],
])("data with %s → QZ_SKILLS_DATA_INVALID", async (_name, data) => {
  await expect(prepareSkill(survey, { data })).rejects.toMatchObject({
    code: "QZ_SKILLS_DATA_INVALID",
  });
});

test("data with a hundred thousand keys it does not know → the first of them in a few words", async () => {
  const data = Object.fromEntries(Array.from({ length: 100_000 }, (_, at) => [`k${at}`, at]));
  const error: unknown = await prepareSkill(survey, { data }).catch((cause: unknown) => cause);
  expect(error).toMatchObject({ code: "QZ_SKILLS_DATA_INVALID" });
  expect(JSON.stringify(error).length).toBeLessThan(1000);
});

test.each([
  ["no rows", "x,y,field\n", "no row"],
  ["nothing", "", "empty"],
  ["no field", "x,y\n1,2\n", "no column field or mag"],
  ["binary", "x,y,field\n\0\0", "binary"],
  ["NaN in a cell", "x,y,mag\n1,2,3\n1,NaN,3\n", 'row 2: y is "NaN", not a finite number'],
  ["a word in a cell", 'x;y;"field"\n1;2;"high"\n', 'row 1: field is "high"'],
  ["an empty cell", "x\ty\tfield\n1\t\t3\n", 'row 1: y is ""'],
  ["a row that ends early", "x y field\n1 2 3\n1 2\n", "row 2 has no field"],
])("a table with %s → QZ_SKILLS_FILE_INVALID", async (_name, text, words) => {
  await using folder = await folderWith({ "a.csv": text });
  const files = [{ name: "a.csv", path: folder.file("a.csv") }];
  await expect(prepareSkill(survey, { files })).rejects.toMatchObject({
    code: "QZ_SKILLS_FILE_INVALID",
    message: expect.stringContaining(words),
  });
});

test.each([
  ["a cell after 64 KiB", `x,y,field\n${"1,2,3\n".repeat(12_000)}1,NaN,3\n`],
  ["a note after a number", "x,y,field\n1,2,3 # low\n# none\n1,2,1e-3\n"],
  ["a column that nobody asks for", "x,y,field,note\n1,2,3,NaN\n"],
])("a table with %s → left to the program", async (_name, text) => {
  await using folder = await folderWith({ "a.csv": text });
  const files = [{ name: "a.csv", path: folder.file("a.csv") }];
  expect((await prepareSkill(survey, { files })).files.at(-1)?.to).toBe("/queztl/in/files/a.csv");
});

test.each([
  "../a.csv",
  "/etc/a.csv",
  "a/../../b.csv",
  "a\\b.csv",
  "a\n.csv",
  "",
  "a//b.csv",
  "notes.txt",
])("a file called %j → QZ_SKILLS_FILE_INVALID, and the file is not opened", async (name) => {
  await expect(prepareSkill(survey, { files: [{ name, path: "/nowhere" }] })).rejects.toMatchObject(
    {
      code: "QZ_SKILLS_FILE_INVALID",
    },
  );
});

test.each([
  ["magnetic-survey", { points: 2_000 }, { points: 200_000 }],
  ["gravity-reduction", { stations: 100 }, { stations: 10_000 }],
  ["seismic-traces", { traces: 120 }, { traces: 12_000 }],
  ["shape-to-mesh", { resolution: 16 }, { resolution: 160 }],
  ["train-model", { rows: 300, seed: 4_294_967_295 }, { rows: 30_000, seed: 0 }],
])(
  "%s without a file → the more it makes, the larger its input and what it asks for",
  async (name, small, large) => {
    const skill = findSkill(skills, name);
    const [less, more] = await Promise.all(
      [small, large].map((data) => prepareSkill(skill, { data })),
    );
    expect(more?.inputBytes).toBeGreaterThan(50 * (less?.inputBytes ?? Infinity));
    expect(more?.request.memoryMib).toBeGreaterThan(less?.request.memoryMib ?? Infinity);
  },
);

test("a link instead of a file → QZ_SKILLS_FILE_INVALID", async () => {
  await using folder = await folderWith({ "real.csv": lines });
  await symlink(folder.file("real.csv"), folder.file("link.csv"));
  const files = [{ name: "link.csv", path: folder.file("link.csv") }];
  await expect(prepareSkill(survey, { files })).rejects.toMatchObject({
    code: "QZ_SKILLS_FILE_INVALID",
  });
});

test("a SEG-Y header that claims more than there is → QZ_SKILLS_FILE_INVALID", async () => {
  const bytes = Buffer.alloc(5000);
  bytes.writeUInt16BE(2000, 3216);
  bytes.writeUInt16BE(65_000, 3220);
  bytes.writeUInt16BE(5, 3224);
  await using folder = await folderWith({ "a.sgy": bytes });
  const skill: Skill = {
    folder: "",
    files: [],
    manifest: parseManifest({
      ...survey.manifest,
      files: [{ pattern: "*.sgy", kind: "segy", description: "traces" }],
    }),
  };
  const files = [{ name: "a.sgy", path: folder.file("a.sgy") }];
  await expect(prepareSkill(skill, { files })).rejects.toMatchObject({
    message: expect.stringContaining("claims 65000 samples"),
  });
});

test("a task's own command → runs among its files, in the image it names", async () => {
  const run = await prepareSkill(findSkill(skills, "general-compute"), {
    command: ["sh", "-c", "wc -l < a.csv"],
    image: "debian",
    environment: { LANG: "C", QUEZTL_OUT: "/etc", PYTHONPATH: "/opt/mine" },
  });
  expect(run).toMatchObject({
    cwd: "/queztl/in/files",
    image: "debian",
    command: ["sh", "-c", "wc -l < a.csv"],
  });
  expect(run.environment).toEqual({
    LANG: "C",
    QUEZTL_IN: "/queztl/in",
    QUEZTL_OUT: "/queztl/out",
    PYTHONPATH: "/opt/mine",
    PYTHONUNBUFFERED: "1",
  });
});

test("a skill's program → its own library's place, whatever the task's environment says", async () => {
  const { environment } = await prepareSkill(survey, { environment: { PYTHONPATH: "/opt/mine" } });
  expect(environment["PYTHONPATH"]).toBe("/queztl/lib");
});

test.each([[[1, 2]], ["words"], [7], [null], [true], [{ a: 1 }]])(
  "a task's own command with the data %j → put into the guest as it is",
  async (data) => {
    const run = await prepareSkill(findSkill(skills, "general-compute"), {
      command: ["true"],
      data,
    });
    const [file] = run.files;
    const text = file !== undefined && "bytes" in file.from ? file.from.bytes : new Uint8Array();
    expect(JSON.parse(new TextDecoder().decode(text))).toEqual(data);
  },
);

test("a task's own command with files in folders → all of them are taken", async () => {
  await using folder = await folderWith({ "a.csv": lines });
  const files = ["a.csv", "data/2026/a.csv"].map((name) => ({ name, path: folder.file("a.csv") }));
  const command = ["true"];
  const run = await prepareSkill(findSkill(skills, "general-compute"), { command, files });
  expect(run.files.map(({ to }) => to)).toContain("/queztl/in/files/data/2026/a.csv");
});

test("no command for a skill that has none → QZ_SKILLS_NONE_FITS", async () => {
  await expect(prepareSkill(findSkill(skills, "general-compute"))).rejects.toMatchObject({
    code: "QZ_SKILLS_NONE_FITS",
  });
});

test("any name that passes → stays below the folder it is put into", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom("a", "/", ".", "\\", "\0", "é") }), (name) => {
      if (pathProblem(name) !== undefined) return;
      expect(new URL(`file:///in/files/${encodeURI(name)}`).pathname.startsWith("/in/files/")).toBe(
        true,
      );
    }),
  );
});
