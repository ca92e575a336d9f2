import { expect, test } from "vitest";
import { Metrics } from "../observe/metrics.ts";
import { AttemptSteps } from "./attempt-steps.ts";

test("steps that succeed and fail → both kept with their time, the failure is thrown on", async () => {
  const steps = new AttemptSteps("task", new Metrics());
  expect(await steps.take("analyse", async () => 1)).toBe(1);
  const failure = new Error("no");
  await expect(steps.take("vm", () => Promise.reject(failure))).rejects.toBe(failure);
  expect(steps.list).toEqual([
    { step: "analyse", state: "done", milliseconds: expect.any(Number) },
    { step: "vm", state: "failed", milliseconds: expect.any(Number) },
  ]);
});

test("taken over while it ran → what was done stays, the step it was at comes once", async () => {
  const steps = new AttemptSteps("task", new Metrics());
  steps.resume([
    { step: "vm", state: "done", milliseconds: 5 },
    { step: "run", state: "running", milliseconds: null },
  ]);
  await steps.take("run", async () => undefined);
  expect(steps.list.map(({ step, state }) => [step, state])).toEqual([
    ["vm", "done"],
    ["run", "done"],
  ]);
});
