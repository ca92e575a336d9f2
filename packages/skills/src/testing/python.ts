import { execFile, execFileSync } from "node:child_process";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { builtInSkills, guestLibrary } from "../node/skill.ts";
import { folderWith } from "./folder.ts";

/** Debian's own Python: the one whose libraries the guest image has. */
export const PYTHON = "/usr/bin/python3";

/** The environment of a skill's program on the host, for tests. */
export const pythonEnvironment: NodeJS.ProcessEnv = {
  ...process.env,
  PYTHONPATH: guestLibrary,
  PYTHONDONTWRITEBYTECODE: "1",
  PYTHONWARNINGS: "ignore",
  OPENBLAS_NUM_THREADS: "1",
};

/** Whether the host's Python has what the guest image has, and what tests compare with. */
export function hasPythonLibraries(): boolean {
  try {
    const imports = "import numpy, scipy, PIL, onnx, sklearn, segyio";
    execFileSync(PYTHON, ["-c", imports], { stdio: "ignore" });
    return true;
  } catch {
    console.log("skipped: needs the Debian packages python3-{numpy,scipy,pil,onnx,sklearn,segyio}");
    return false;
  }
}

/** Runs a built-in skill's program on the host: the files it leaves, by name. */
export async function runProgram(
  skill: string,
  data: object,
  files: Readonly<Record<string, Uint8Array | string>> = {},
): Promise<Map<string, Buffer>> {
  await using home = await folderWith({ "in/data.json": JSON.stringify(data) });
  await mkdir(home.file("in/files"), { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    await writeFile(home.file(`in/files/${name}`), content);
  }
  const env = { ...pythonEnvironment, QUEZTL_IN: home.file("in"), QUEZTL_OUT: home.file("out") };
  await promisify(execFile)(PYTHON, ["main.py"], { cwd: join(builtInSkills, skill), env });
  const left = new Map<string, Buffer>();
  for (const name of await readdir(home.file("out"))) {
    left.set(name, await readFile(home.file(`out/${name}`)));
  }
  return left;
}
