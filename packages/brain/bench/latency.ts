/**
 * Latencies of a full brain: fills one with 10,000 experiences, then times each call.
 * Run it with `node --conditions=@queztl/source bench/latency.ts [experiences]`.
 */
import { createBrain, type Decision } from "@queztl/brain";

const experiences = Number(process.argv[2] ?? 10_000);
const CALLS = 2000;
const WARM_UP = 200;

let state = 42;
const random = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;

const verbs = ["process", "invert", "decimate", "train", "classify", "merge", "render", "assay"];
const things = ["magnetic survey", "point cloud", "triangle mesh", "drill cores", "language model"];
const places = ["of the north pit", "for the tender", "at half resolution", "over night", "again"];
const tools = ["prep", "align", "sort", "call", "report"];

let now = 0;
const brain = createBrain({ clock: { now: () => now } });

const task = (rare = false) => {
  const verb = pick(verbs);
  const thing = pick(things);
  return {
    description: `${verb} the ${thing} ${pick(places)}, run ${Math.floor(random() * 1000)}`,
    family: rare
      ? `${verb}.${Math.floor(random() * 1e9)}`
      : `${verb}.${thing.replace(" ", "_")}.${pick(tools)}`,
    data: { resolution: random(), layers: [1, 2, 3], name: thing },
    files: [{ name: "input.bin", bytes: Math.round(1e6 * 2 ** (random() * 10)) }],
    request: { memoryMib: 4096 },
  };
};

const finish = (decision: Decision) => {
  now += 30;
  const peakMib = 50 + decision.task.inputBytes / 2e6 + random() * 40;
  const ok = peakMib <= decision.resources.memoryMib;
  brain.learn({
    decisionId: decision.id,
    outcome: ok ? "ok" : "oom",
    peakMib: Math.min(peakMib, decision.resources.memoryMib),
    wallSeconds: 20 + random() * 100,
    cpuSeconds: 20 + random() * 100,
    diskPeakMib: 300 + random() * 100,
  });
};

const filling = performance.now();
while (brain.status().experiences < experiences) {
  for (let i = 0; i < 100; i += 1) finish(brain.estimate(brain.analyse(task())));
}
const filled = (performance.now() - filling) / 1000;
console.log(`${experiences} experiences learned in ${filled.toFixed(1)} s`);

interface Samples {
  readonly wall: number[];
  /** Time of this thread on a processor: what is left when other programs take turns. */
  readonly cpu: number[];
}

const times = new Map<string, Samples>();

function timed<T>(call: string, keep: boolean, run: () => T): T {
  const cpuBefore = process.threadCpuUsage();
  const before = performance.now();
  const result = run();
  const wall = performance.now() - before;
  const { user, system } = process.threadCpuUsage(cpuBefore);
  if (keep) {
    const samples = times.get(call) ?? { wall: [], cpu: [] };
    samples.wall.push(wall);
    samples.cpu.push((user + system) / 1000);
    times.set(call, samples);
  }
  return result;
}

for (let i = 0; i < CALLS + WARM_UP; i += 1) {
  const rare = i % 10 === 0;
  const keep = i >= WARM_UP;
  const wanted = task(rare);
  const kind = rare ? ", first of its family" : "";
  const analysis = timed(`analyse${kind}`, keep, () => brain.analyse(wanted));
  const decision = timed(`estimate${kind}`, keep, () => brain.estimate(analysis));
  timed("learn", keep, () => finish(decision));
}

for (const [call, { wall, cpu }] of times) {
  const at = (samples: number[], share: number) => {
    const sorted = samples.toSorted((x, y) => x - y);
    return (sorted[Math.floor(share * (sorted.length - 1))] as number).toFixed(2);
  };
  const figures = `p50 ${at(wall, 0.5)} ms  p99 ${at(wall, 0.99)} ms  p99 of processor time ${at(cpu, 0.99)} ms`;
  console.log(`${call.padEnd(30)}  ${figures}`);
}
