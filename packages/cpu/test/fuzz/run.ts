/**
 * Random bytes and random instructions as code, in all modes:
 * `node --conditions=@queztl/source packages/cpu/test/fuzz/run.ts --minutes 10 [--seed 1] [--only 1234]`
 * A round that does not come back within a minute is reported with its seed.
 */
import { parseArgs } from "node:util";
import { Worker, isMainThread, workerData } from "node:worker_threads";
import { VcpuMachine } from "../conformance/vcpu-machine.ts";
import { fuzzRound } from "./fuzz.ts";

interface Job {
  readonly seed: number;
  readonly minutes: number;
  /** The seed of the round under way. */
  readonly current: Int32Array<SharedArrayBuffer>;
}

function work({ seed, minutes, current }: Job): void {
  let machine = new VcpuMachine(1);
  const until = performance.now() + minutes * 60_000;
  const ends = new Map<string, number>();
  let instructions = 0;
  let round = 0;
  for (; performance.now() < until; round++) {
    Atomics.store(current, 0, seed + round);
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
    const current = new Int32Array(new SharedArrayBuffer(4));
    const job: Job = { seed: Number(values.seed), minutes: Number(values.minutes), current };
    const worker = new Worker(new URL(import.meta.url), {
      workerData: job,
      execArgv: ["--conditions=@queztl/source"],
    });
    let seen = 0;
    let since = performance.now();
    const watch = setInterval(() => {
      const seed = Atomics.load(current, 0);
      if (seed !== seen) {
        seen = seed;
        since = performance.now();
      } else if (performance.now() - since > 60_000) {
        console.log(`seed ${seed} does not come back`);
        process.exit(1);
      }
    }, 1000);
    worker.on("exit", (code) => {
      clearInterval(watch);
      if (code !== 0) process.exitCode = 1;
    });
  }
} else work(workerData as Job);
