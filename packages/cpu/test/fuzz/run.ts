/**
 * Random bytes and random instructions as code, in all modes:
 * `node --conditions=@queztl/source packages/cpu/test/fuzz/run.ts --minutes 10 [--seed 1] [--only 1234]`
 * A round that does not come back within a minute is reported with its seed.
 */
import { parseArgs } from "node:util";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";
import { VcpuMachine } from "../conformance/vcpu-machine.ts";
import { fuzzRound } from "./fuzz.ts";

interface Job {
  readonly seed: number;
  readonly minutes: number;
}

function work({ seed, minutes }: Job): void {
  let machine = new VcpuMachine(1);
  const until = performance.now() + minutes * 60_000;
  const ends = new Map<string, number>();
  let instructions = 0;
  let round = 0;
  for (; performance.now() < until; round++) {
    parentPort?.postMessage({ seed: seed + round });
    if (round % 2000 === 1999) machine = new VcpuMachine(1);
    const began = performance.now();
    try {
      const result = fuzzRound(machine, seed + round);
      instructions += result.instructions;
      ends.set(result.end, (ends.get(result.end) ?? 0) + 1);
    } catch (error) {
      console.log(`seed ${seed + round}:`, error);
      process.exitCode = 1;
      machine = new VcpuMachine(1);
    }
    const took = performance.now() - began;
    if (took > 3000) console.log(`seed ${seed + round}: ${Math.round(took)} ms`);
  }
  console.log(`${round} rounds, ${instructions} instructions`, Object.fromEntries(ends));
}

if (isMainThread) {
  const { values } = parseArgs({
    options: {
      seed: { type: "string", default: "1" },
      minutes: { type: "string", default: "1" },
      only: { type: "string" },
    },
  });
  if (values.only !== undefined) {
    console.log(fuzzRound(new VcpuMachine(1), Number(values.only)));
  } else {
    const job: Job = { seed: Number(values.seed), minutes: Number(values.minutes) };
    const worker = new Worker(new URL(import.meta.url), {
      workerData: job,
      execArgv: ["--conditions=@queztl/source"],
    });
    let heard = performance.now();
    let current = job.seed;
    worker.on("message", (message: { seed: number }) => {
      heard = performance.now();
      current = message.seed;
    });
    const watch = setInterval(() => {
      if (performance.now() - heard < 60_000) return;
      console.log(`seed ${current} does not come back`);
      process.exit(1);
    }, 1000);
    worker.on("exit", (code) => {
      clearInterval(watch);
      if (code !== 0) process.exitCode = 1;
    });
  }
} else work(workerData as Job);
