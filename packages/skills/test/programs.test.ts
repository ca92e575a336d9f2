import { execFile, execFileSync } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { builtInSkills, loadSkills } from "../src/node/index.ts";
import { guestLibrary } from "../src/node/skill.ts";

// Debian's own Python: the one whose libraries the guest image has.
const PYTHON = "/usr/bin/python3";
const run = promisify(execFile);

function hasLibraries(): boolean {
  try {
    execFileSync(PYTHON, ["-c", "import numpy, scipy, PIL, onnx"], { stdio: "ignore" });
    return true;
  } catch {
    console.log(
      "skipped: needs Debian's python3-numpy, python3-scipy, python3-pil and python3-onnx",
    );
    return false;
  }
}

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

test.skipIf(!hasLibraries()).each(tested)(
  "%s → its tests pass on the host's Python",
  async (_name, folder) => {
    const environment = {
      ...process.env,
      PYTHONPATH: guestLibrary,
      PYTHONDONTWRITEBYTECODE: "1",
      OPENBLAS_NUM_THREADS: "1",
    };
    const { stderr } = await run(PYTHON, ["-m", "unittest", "--quiet"], {
      cwd: join(folder),
      env: environment,
    });
    expect(stderr).toMatch(/\nOK/);
  },
  300_000,
);
