import { createBrain } from "@queztl/brain";
import { expect, test } from "vitest";
import type { RunEnd } from "../vms/vm-host.ts";
import { learnFrom } from "./attempt-learning.ts";

const ended = (peakMib: number, wallSeconds: number, exitCode = 0): RunEnd => ({
  exitCode,
  signal: null,
  timedOut: false,
  outOfMemory: false,
  peakMib,
  cpuSeconds: wallSeconds,
  wallSeconds,
});

test("two sizes an order of magnitude apart, then a failure → what each taught, in words", () => {
  const brain = createBrain({ clock: { now: () => 1000 } });
  const host = { brain, learn: brain.learn.bind(brain) };
  const learned = (inputBytes: number, run: RunEnd, outcome: "ok" | "failed" = "ok") => {
    const task = { description: "sort the lines", family: "sort", inputBytes };
    return learnFrom(host, brain.estimate(brain.analyse(task)), { outcome, run });
  };
  expect(learned(1e6, ended(40, 2))).toEqual([
    "sort: a run peaked at 40 MiB after 2.0 s",
    "sort was not known before",
  ]);
  expect(learned(10e6, ended(132, 22))).toEqual([
    "sort: a run peaked at 132 MiB after 22.0 s",
    expect.stringMatching(/^that is outside of the \d+ to \d+ MiB that were expected$/),
    "so far ten times the input takes 3.3 times the memory and 11 times as long",
  ]);
  expect(learned(10e6, ended(60, 3, 1), "failed")).toEqual([
    "sort: a run ended at 60 MiB after 3.0 s",
  ]);
});
