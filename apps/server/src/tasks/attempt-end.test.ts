import { expect, test } from "vitest";
import { serverErrors } from "../errors.ts";
import type { RunEnd } from "../vms/vm-host.ts";
import { endOfFailure, nextAfter, outcomeOf } from "./attempt-end.ts";
import type { TaskRow } from "./task-records.ts";

const run: RunEnd = {
  exitCode: 0,
  signal: null,
  timedOut: false,
  outOfMemory: false,
  peakMib: 1,
  cpuSeconds: 1,
  wallSeconds: 1,
};

const task = (attempt: number, attemptsForgiven = 0) =>
  ({ attempt, attemptsAllowed: 3, attemptsForgiven }) as TaskRow;

test.each([
  [{ exitCode: 0 }, "ok"],
  [{ exitCode: 1 }, "failed"],
  [{ exitCode: null, signal: "SIGSEGV" }, "failed"],
  [{ exitCode: 137, outOfMemory: true }, "oom"],
  [{ exitCode: null, signal: "SIGKILL", timedOut: true }, "timeout"],
])("a program that ended with %j → %s", (how, outcome) => {
  expect(outcomeOf({ ...run, ...how })).toBe(outcome);
});

test("what the task asked for cannot be → failed; what the host could not do → tried again", () => {
  const absent = serverErrors("QZ_SERVER_NOT_FOUND", { kind: "image", wanted: "x" });
  expect(endOfFailure(absent)).toMatchObject({ outcome: "failed" });
  const crashed = serverErrors("QZ_SERVER_VM_CRASHED", { vm: "x", problem: "y" });
  expect(endOfFailure(crashed)).toMatchObject({ outcome: "lost" });
  expect(endOfFailure(new Error("a bug"))).toMatchObject({
    outcome: "lost",
    problem: { code: "QZ_API_INTERNAL" },
  });
});

test.each([
  ["out of memory, attempts left", { outcome: "oom" as const, run }, task(1), "queued"],
  ["out of memory, the last attempt", { outcome: "oom" as const, run }, task(3), "failed"],
  ["out of memory after a retry by hand", { outcome: "oom" as const, run }, task(4, 3), "queued"],
  ["lost", { outcome: "lost" as const }, task(5, 4), "queued"],
  ["lost for the twenty-first time", { outcome: "lost" as const }, task(21, 20), "failed"],
  ["a program that failed", { outcome: "failed" as const, run }, task(1), "failed"],
  ["over its time", { outcome: "timeout" as const, run }, task(1), "failed"],
  ["done", { outcome: "ok" as const, run }, task(1), "succeeded"],
])("%s → its next state", (_, end, row, state) => {
  expect(nextAfter(end, row, undefined).state).toBe(state);
});
