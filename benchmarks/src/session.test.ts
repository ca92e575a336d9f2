import { expect, test } from "vitest";
import type { Case, Subject } from "./bench.ts";
import { runSession } from "./session.ts";
import { table } from "./table.ts";

const options = { rounds: 3, provide: async () => undefined };

function caseOf(better: Case["better"], ours: Subject, ...peers: Subject[]) {
  return { summary: "", cases: [{ name: "copy", unit: "ms", better, ours, peers }] };
}

function constant(name: string, value: number, log: string[] = []): Subject {
  return {
    name,
    setup: () => void log.push(`+${name}`),
    measure: () => (log.push(name), value),
    teardown: () => void log.push(`-${name}`),
  };
}

test("two subjects, three rounds → set up, warmed, interleaved with a turning start, torn down", async () => {
  const log: string[] = [];
  await runSession(caseOf("lower", constant("a", 1, log), constant("b", 2, log)), options);
  expect(log.join(" ")).toBe("+a a +b b a b b a a b -a -b");
});

test("half the time, or twice the rate, of a peer → a ratio of 2 either way", async () => {
  const [time] = await runSession(caseOf("lower", constant("a", 1), constant("b", 2)), options);
  const [rate] = await runSession(caseOf("higher", constant("a", 2), constant("b", 1)), options);
  for (const result of [time, rate]) {
    expect(result?.peers[0]).toMatchObject({ ratio: { median: 2, low: 2, high: 2 } });
  }
});

test("a peer that cannot be had, or fails half-way → unavailable with the reason, ours measured", async () => {
  let calls = 0;
  const flaky: Subject = {
    name: "flaky",
    measure: () => {
      if ((calls += 1) > 2) throw new Error("it fell over");
      return 1;
    },
  };
  const provide = async ({ name }: Subject) => {
    if (name === "far") throw new Error("needs root to install far");
  };
  const bench = caseOf("lower", constant("a", 1), constant("far", 1), flaky);
  const [result] = await runSession(bench, { ...options, provide });
  expect(result?.ours.samples).toEqual([1, 1, 1]);
  expect(result?.peers).toEqual([
    { name: "far", unavailable: "needs root to install far" },
    { name: "flaky", unavailable: "it fell over" },
  ]);
});

test("ours fails → the session fails, after every teardown", async () => {
  const log: string[] = [];
  const ours: Subject = { ...constant("a", 1, log), measure: () => Promise.reject(new Error("x")) };
  await expect(runSession(caseOf("lower", ours, constant("b", 1, log)), options)).rejects.toThrow(
    "x",
  );
  expect(log).toEqual(["+a", "-a", "-b"]);
});

test("results → an aligned table with three significant digits", async () => {
  const bench = caseOf("lower", constant("ours", 1234.567), constant("qemu", 0.0123456));
  const provide = async ({ name }: Subject) => {
    if (name === "v86") throw new Error("not installed");
  };
  bench.cases[0]?.peers.push(constant("v86", 1));
  const lines = table(await runSession(bench, { ...options, provide })).split("\n");
  expect(lines).toEqual([
    "case  ours     spread  peer  its median  spread  ratio (95 %)",
    "copy  1230 ms  0.0 %   qemu  0.0123 ms   0.0 %   0.00001× (0.00001–0.00001)",
    "                       v86   unavailable: not installed",
  ]);
});

test("a case whose tails matter → where 95 and 99 % of its samples lie, below the medians", async () => {
  let sample = 0;
  const counting: Subject = { name: "a", measure: () => sample++ };
  const bench = caseOf("lower", counting);
  const cases = bench.cases.map((each) => ({ ...each, tails: true }));
  // The first sample, 0, is thrown away.
  const results = await runSession({ ...bench, cases }, { ...options, rounds: 101 });
  expect(results[0]?.ours).toMatchObject({ median: 51, tails: { p95: 96, p99: 100 } });
  const lines = table(results).split("\n");
  expect(lines.slice(2).map((line) => line.trim().split(/ {2,}/))).toEqual([
    ["p95", "96 ms"],
    ["p99", "100 ms"],
  ]);
});

test("a subject that knows its memory → its peak beside the samples, asked after the last", async () => {
  let most = 0;
  const growing: Subject = { name: "a", measure: () => (most += 10), peakMib: () => most };
  const results = await runSession(caseOf("lower", growing, constant("b", 1)), options);
  expect(results[0]?.ours).toMatchObject({ samples: [20, 30, 40], peakMib: 40 });
  expect(results[0]?.peers[0]).not.toHaveProperty("peakMib");
  const lines = table(results).split("\n");
  expect(lines[2]?.trim().split(/ {2,}/)).toEqual(["peak memory", "40 MiB"]);
});
