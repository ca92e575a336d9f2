/**
 * Kills processes of VMs at random moments, monitors and those that work with them, and looks after each whether the
 * rest is as it was: `node --conditions=@queztl/source test/kill-storm.ts --kills 100 [--vms 3] [--seed 1]`.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { isQueztlError } from "@queztl/errors";
import { Vm } from "../src/node/index.ts";
import type { VmOptions } from "../src/node/index.ts";
import { COUNT, multibootKernel } from "../src/testing/tiny-kernel.ts";

/** A VM that counts for ever, and takes little of the computer for it. */
const options = (home: string, kernel: string): VmOptions => ({
  home,
  kernel: { path: kernel },
  memoryMib: 2,
  limits: { cpuShare: 0.05 },
});

/** What a process does that is killed amid it. */
const WORK: Readonly<Record<string, (home: string, kernel: string) => Promise<unknown>>> = {
  create: (home, kernel) => Vm.create(options(home, kernel)),
  destroy: async (home) => {
    const [first] = await Vm.list({ home });
    if (first) await Vm.destroy(first.id, { home });
  },
  snapshot: async (home) => {
    const vm = await anyVm(home);
    await vm?.snapshot(`s${Date.now()}`);
  },
  restore: async (home) => {
    const vm = await anyVm(home);
    await vm?.snapshot("again");
    await vm?.restore("again");
  },
  restart: async (home) => {
    const vm = await anyVm(home);
    await vm?.stop({ graceMs: 0 });
    await vm?.start();
  },
  pause: async (home) => {
    const vm = await anyVm(home);
    await vm?.pause();
    await vm?.resume();
  },
};

async function anyVm(home: string): Promise<Vm | undefined> {
  const [first] = (await Vm.list({ home })).filter(({ state }) => state === "running");
  return first && (await Vm.open(first.id, { home }));
}

/** What a storm found out. */
export interface StormReport {
  readonly kills: number;
  readonly monitorsKilled: number;
  readonly workersKilled: number;
  /** What was not as it should be. */
  readonly problems: readonly string[];
  /** What was left when all VMs were destroyed: processes, files. */
  readonly left: readonly string[];
}

export async function killStorm(storm: {
  readonly kills: number;
  readonly vms: number;
  readonly seed: number;
  readonly onKill?: (line: string) => void;
}): Promise<StormReport> {
  const { kills, vms, seed, onKill = () => undefined } = storm;
  const home = mkdtempSync(join(tmpdir(), "queztl-storm-"));
  const kernel = join(home, "kernel");
  writeFileSync(kernel, multibootKernel(COUNT));
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const problems: string[] = [];
  let monitorsKilled = 0;
  let workersKilled = 0;
  try {
    for (let kill = 0; kill < kills; kill++) {
      for (let there = (await Vm.list({ home })).length; there < vms; there++)
        await (await Vm.create(options(home, kernel))).close();
      const before = await Vm.list({ home });
      let victim: string | undefined;
      if (random(2) === 0) {
        const running = before.filter(({ pid }) => pid !== undefined);
        const chosen = running[random(running.length)];
        if (chosen?.pid === undefined) continue;
        victim = chosen.id;
        // Sometimes amid work of its own.
        const vm = await Vm.open(victim, { home });
        if (random(2) === 0) vm.snapshot(`k${kill}`).catch(() => undefined);
        await sleep(random(20));
        process.kill(chosen.pid, "SIGKILL");
        await vm.close();
        monitorsKilled++;
        onKill(`${kill}: monitor of ${victim}`);
      } else {
        const names = Object.keys(WORK);
        const name = names[random(names.length)] as string;
        const ms = random(4000);
        await killedWorker(name, home, kernel, ms);
        workersKilled++;
        onKill(`${kill}: ${name} after ${ms} ms`);
        // It worked on the first of them.
        victim = before[0]?.id;
      }
      problems.push(...(await look(home, victim, before, `kill ${kill}`)));
    }
    for (const { id } of await Vm.list({ home })) await Vm.destroy(id, { home });
    await Vm.list({ home });
    const left = [
      ...readdirSync(join(home, "vms")).map((name) => `vms/${name}`),
      ...processesOf(home).map((pid) => `process ${pid}`),
    ];
    return { kills, monitorsKilled, workersKilled, problems, left };
  } finally {
    for (const pid of processesOf(home)) process.kill(pid, "SIGKILL");
    rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function killedWorker(work: string, home: string, kernel: string, ms: number): Promise<void> {
  const script = fileURLToPath(import.meta.url);
  const args = ["--conditions=@queztl/source", script, "--work", work, home, kernel];
  const child = spawn(process.execPath, args, { stdio: "ignore" });
  const gone = new Promise((resolve) => child.once("exit", resolve));
  await Promise.race([gone, sleep(ms)]);
  child.kill("SIGKILL");
  await gone;
}

/** Whether every VM but the victim answers, and the victim can be told for what it is and taken up again. */
async function look(
  home: string,
  victim: string | undefined,
  before: readonly { readonly id: string; readonly state: string }[],
  when: string,
): Promise<string[]> {
  const problems: string[] = [];
  const now = await Vm.list({ home });
  for (const { id, state } of before) {
    if (id === victim) continue;
    const there = now.find((vm) => vm.id === id);
    const begun = state === "starting" && there?.state === "running";
    if (there?.state !== state && !begun)
      problems.push(`${when}: ${id} was ${state}, is ${there?.state}`);
  }
  for (const { id, state } of now) {
    const vm = await Vm.open(id, { home });
    try {
      // A worker that was killed may have started it, whose monitor takes it only now.
      if (state === "stopped" || state === "crashed") await vm.start().catch(() => undefined);
      await settled(vm);
      // An emulated guest that is paused has done nothing; all others count.
      const first = await vm.stats();
      if ((await vm.status()).state === "paused") await vm.resume();
      // With its small share, on a busy computer, it may rest for seconds.
      let tries = 0;
      while ((await vm.stats()).instructions <= first.instructions && tries++ < 300)
        await sleep(100);
      if (tries > 300) problems.push(`${when}: the guest of ${id} stands still`);
    } catch (error) {
      const code = isQueztlError(error) ? error.code : "";
      problems.push(`${when}: ${id} (${state}): ${code} ${String(error)}`);
    } finally {
      await vm.close();
    }
  }
  return problems;
}

/** Waits until a VM is up: a worker's monitor may still be starting when the worker is killed. */
async function settled(vm: Vm): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      if ((await vm.status()).state !== "starting") return;
    } catch (error) {
      if (tries > 1000) throw error;
    }
    const { state } = await vm.inspect();
    if (state === "crashed" || state === "stopped") await vm.start();
    await sleep(10);
  }
}

/** Processes whose command line names a folder. */
export function processesOf(home: string): number[] {
  return readdirSync("/proc").flatMap((name) => {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) return [];
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, "latin1");
      return line.includes(home) ? [pid] : [];
    } catch {
      return [];
    }
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      kills: { type: "string", default: "100" },
      vms: { type: "string", default: "3" },
      seed: { type: "string", default: String(Date.now() % 2 ** 32) },
      work: { type: "string" },
    },
  });
  const [home = "", kernel = ""] = positionals;
  if (values.work !== undefined) await WORK[values.work]?.(home, kernel);
  else {
    console.log(`seed ${values.seed}`);
    const report = await killStorm({
      kills: Number(values.kills),
      vms: Number(values.vms),
      seed: Number(values.seed),
      onKill: (line) => console.log(line),
    });
    console.log(report);
    process.exitCode = report.problems.length + report.left.length > 0 ? 1 : 0;
  }
}
