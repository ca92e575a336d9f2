import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { Vm } from "@queztl/hypervisor/node";
import { builtInSkills, findSkill, loadSkills, prepareSkill } from "@queztl/skills/node";
import type { SkillRun } from "@queztl/skills/node";
import { defineBench } from "./src/index.ts";
import type { Case, Subject } from "./src/index.ts";

/** Each skill with labelled synthetic input of two sizes, one about ten times the other. */
const WORK = [
  ["magnetic-survey", "2,000 points", { survey_id: "MAG-001", points: 2_000 }],
  ["magnetic-survey", "20,000 points", { survey_id: "MAG-001", points: 20_000 }],
  ["gravity-reduction", "100 stations", { survey_id: "GRAV-001", stations: 100 }],
  ["gravity-reduction", "1,000 stations", { survey_id: "GRAV-001", stations: 1000 }],
  ["seismic-traces", "120 traces", { survey_id: "LINE-001", traces: 120 }],
  ["seismic-traces", "1,200 traces", { survey_id: "LINE-001", traces: 1200 }],
  ["shape-to-mesh", "16 cells an edge", { example: "gyroid", resolution: 16 }],
  ["shape-to-mesh", "40 cells an edge", { example: "gyroid", resolution: 40 }],
  ["train-model", "300 rows", { rows: 300, rounds: 30, epochs: 30 }],
  ["train-model", "3,000 rows", { rows: 3000, rounds: 30, epochs: 30 }],
  ["predict", "1,000 rows", { rows: 1_000 }],
  ["predict", "10,000 rows", { rows: 10_000 }],
  ["general-compute", "sort of 1 MB", { bytes: 1e6 }],
  ["general-compute", "sort of 10 MB", { bytes: 1e7 }],
] as const;

const SORT = ["sh", "-c", 'sort words.txt > "$QUEZTL_OUT/sorted.txt"'];

// What the image has; the host's own Python may be another.
const PYTHON = "/usr/bin/python3";
const DEBIAN = ["python3-numpy", "python3-scipy", "python3-pil", "python3-onnx"];
const MEMORY_MIB = 512;

const skills = await loadSkills([builtInSkills]);
let folder: string | undefined;
let users = 0;

/** A folder of this run: `predict` needs a model that `train-model` made. */
async function home(): Promise<string> {
  return (folder ??= await mkdtemp(join(tmpdir(), "queztl-bench-skills-")));
}

async function planOf(name: string, data: object): Promise<SkillRun> {
  const skill = findSkill(skills, name);
  if (name === "predict") {
    return await prepareSkill(skill, {
      data,
      files: [{ name: "model.onnx", path: await model() }],
    });
  }
  if (!("bytes" in data)) return await prepareSkill(skill, { data });
  const files = [{ name: "words.txt", path: await words(Number(data.bytes)) }];
  return await prepareSkill(skill, { files, command: SORT });
}

/** Lines in no order, the same ones each time. */
async function words(bytes: number): Promise<string> {
  const path = join(await home(), `words-${bytes}.txt`);
  const hash = (at: number) => createHash("md5").update(`${at}`).digest("hex");
  const lines = Array.from({ length: bytes / 33 }, (_, at) => hash(at));
  await writeFile(path, `${lines.join("\n")}\n`);
  return path;
}

async function model(): Promise<string> {
  const path = join(await home(), "model.onnx");
  const there = await readFile(path).catch(() => undefined);
  if (there === undefined) {
    const run = await prepareSkill(findSkill(skills, "train-model"), {
      data: { rows: 500, rounds: 20, epochs: 20 },
    });
    const out = await runHere(run);
    await cp(join(out, "model.onnx"), path);
  }
  return path;
}

/** Puts a run's files below a folder of the host, as they lie in the guest. */
async function layOut(run: SkillRun, root: string): Promise<void> {
  for (const path of run.folders) await mkdir(join(root, path), { recursive: true });
  for (const { to, from } of run.files) {
    await mkdir(dirname(join(root, to)), { recursive: true });
    if ("bytes" in from) await writeFile(join(root, to), from.bytes);
    else await cp(from.path, join(root, to));
  }
}

async function runHere(run: SkillRun): Promise<string> {
  const root = await mkdtemp(join(await home(), "run-"));
  await layOut(run, root);
  const [program = "", ...argv] = run.command;
  const environment = Object.entries(run.environment).map(([name, value]) => [
    name,
    value.startsWith("/queztl/") ? join(root, value) : value,
  ]);
  await promisify(execFile)(program === "python3" ? PYTHON : program, argv, {
    cwd: join(root, run.cwd),
    env: {
      PATH: process.env["PATH"],
      OPENBLAS_NUM_THREADS: "1",
      ...Object.fromEntries(environment),
    },
    maxBuffer: 64 << 20,
  });
  return join(root, run.output);
}

const native = (skill: string, data: object): Subject => ({
  name: "native",
  needs: { debian: DEBIAN },
  async measure() {
    const run = await planOf(skill, data);
    const started = performance.now();
    await runHere(run);
    return (performance.now() - started) / 1000;
  },
});

let vm: Promise<Vm> | undefined;

const guest = (skill: string, data: object, peak = { mib: 0 }): Subject => ({
  name: "in the guest",
  peakMib: () => peak.mib,
  async setup() {
    users += 1;
    await (vm ??= Vm.create({ image: "python", memoryMib: MEMORY_MIB }));
  },
  async measure() {
    const machine = await vm;
    if (!machine) throw new Error("the VM is gone");
    const run = await planOf(skill, data);
    const root = await mkdtemp(join(await home(), "guest-"));
    await layOut(run, root);
    await machine.exec(["rm", "-rf", "/queztl"]);
    await machine.copyIn(join(root, "queztl"), "/queztl");
    const started = performance.now();
    const { status, stderr, usage } = await machine.exec(run.command, {
      cwd: run.cwd,
      env: run.environment,
    });
    if (status !== 0) throw new Error(`${skill} ended with ${status}: ${stderr}`);
    peak.mib = Math.max(peak.mib, usage.peakMemoryBytes / (1 << 20));
    return (performance.now() - started) / 1000;
  },
  async teardown() {
    users -= 1;
    if (users > 0) return;
    await (await vm)?.destroy();
    vm = undefined;
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
    folder = undefined;
  },
});

export default defineBench({
  summary: "the skills on the emulated processor, beside the same programs run natively",
  rounds: 3,
  cases: WORK.map(([skill, size, data]): Case => ({
    name: `${skill}, ${size}`,
    unit: "s",
    better: "lower",
    ours: guest(skill, data),
    peers: [native(skill, data)],
  })),
});
