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

const times: Record<"analyse" | "estimate" | "estimate, first of its family" | "learn", number[]> =
  {
    analyse: [],
    estimate: [],
    "estimate, first of its family": [],
    learn: [],
  };
for (let i = 0; i < CALLS + WARM_UP; i += 1) {
  const rare = i % 10 === 0;
  const wanted = task(rare);
  const a = performance.now();
  const analysis = brain.analyse(wanted);
  const b = performance.now();
  const decision = brain.estimate(analysis);
  const c = performance.now();
  finish(decision);
  const d = performance.now();
  if (i < WARM_UP) continue;
  times.analyse.push(b - a);
  times[rare ? "estimate, first of its family" : "estimate"].push(c - b);
  times.learn.push(d - c);
}

for (const [call, samples] of Object.entries(times)) {
  samples.sort((x, y) => x - y);
  const at = (share: number) =>
    (samples[Math.floor(share * (samples.length - 1))] as number).toFixed(3);
  console.log(`${call.padEnd(30)}  p50 ${at(0.5)} ms  p99 ${at(0.99)} ms  max ${at(1)} ms`);
}
