import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { builtInSkills, loadSkills } from "../src/node/index.ts";
import { PYTHON, hasPythonLibraries, pythonEnvironment } from "../src/testing/python.ts";

const run = promisify(execFile);
const skills = await loadSkills([builtInSkills]);
const tested: [string, string][] = [];
for (const { manifest, folder } of skills) {
  const names = await readdir(folder);
  if (names.some((name) => /^test_.*\.py$/.test(name))) tested.push([manifest.name, folder]);
}

test("every skill with a program → has tests", () => {
  const programs = skills.filter(({ manifest }) => manifest.command !== null);
  expect(tested.map(([name]) => name)).toEqual(programs.map(({ manifest }) => manifest.name));
});

test.skipIf(!hasPythonLibraries()).each(tested)(
  "%s → its tests pass on the host's Python",
  async (_name, folder) => {
    const options = { cwd: folder, env: pythonEnvironment };
    const { stderr } = await run(PYTHON, ["-m", "unittest", "--quiet"], options);
    expect(stderr).toMatch(/\nOK/);
  },
  600_000,
);
