import { QueztlError } from "@queztl/errors";
import { expect, test } from "vitest";
import type { Task } from "../resources.ts";
import { placeWithin } from "../task/task-command.ts";
import { newsOf } from "../task/wait-task.ts";
import { waitFor } from "./wait.ts";

const never = new AbortController().signal;
const lost = new QueztlError("QZ_API_UNREACHABLE", { status: "unavailable", message: "gone" });
const refused = new QueztlError("QZ_X", { status: "not-found", message: "none" });
const reading = (answers: readonly (number | Error)[]) => {
  const left = [...answers];
  return async () => {
    const next = left.length > 1 ? left.shift() : left[0];
    if (next instanceof Error) throw next;
    return next ?? 0;
  };
};

test("a connection lost under way → told once it is lost and when it is back, the wait goes on", async () => {
  const told: (string | undefined)[] = [];
  const thing = await waitFor({
    read: reading([1, lost, lost, 2, 3]),
    done: (value) => value === 3,
    onLost: (failure) => told.push(failure?.message),
    signal: never,
    what: "x",
  });
  expect({ thing, told }).toEqual({ thing: 3, told: ["gone", "gone", undefined] });
});

test("a refusal → at once; a server that stays away → after as long as was allowed", async () => {
  const wait = (answers: Error[]) =>
    waitFor({
      read: reading(answers),
      done: () => false,
      signal: never,
      what: "x",
      giveUpSeconds: 0.2,
    });
  await expect(wait([refused])).rejects.toBe(refused);
  await expect(wait([lost])).rejects.toBe(lost);
});

test("a timeout and Ctrl-C → their own errors", async () => {
  const options = { read: async () => 1, done: () => false, what: "x" };
  await expect(waitFor({ ...options, signal: never, timeoutSeconds: 0.05 })).rejects.toMatchObject({
    code: "QZ_QCTL_TIMEOUT",
  });
  await expect(waitFor({ ...options, signal: AbortSignal.abort() })).rejects.toMatchObject({
    code: "QZ_QCTL_INTERRUPTED",
  });
});

test("two looks at a task → what is new, each step once", () => {
  const step = (name: string, state: string) => ({
    step: name,
    state,
    milliseconds: state === "done" ? 3 : null,
  });
  const task = (state: string, steps: object[], progress: object | null = null): Task =>
    ({ id: "t", state, attempts: [{ number: 1, steps }], progress }) as unknown as Task;
  const first = task("preparing", [step("analyse", "done"), step("vm", "running")]);
  const second = task("running", [
    step("analyse", "done"),
    step("vm", "done"),
    step("run", "running"),
  ]);
  expect(newsOf(undefined, first)).toEqual([
    "t: analyse done in 3ms",
    "t: vm begins",
    "t: preparing",
  ]);
  expect(newsOf(first, second)).toEqual(["t: vm done in 3ms", "t: run begins", "t: running"]);
  expect(newsOf(second, second)).toEqual([]);
  const steps = [step("run", "running")];
  const grid = task("running", steps, { done: 0.45, step: "grid", message: "9 x 9" });
  const further = task("running", steps, { done: 0.5, step: "grid", message: "8 x 8" });
  expect(newsOf(task("running", steps), grid)).toEqual(["t: 45% grid: 9 x 9"]);
  expect(newsOf(grid, further)).toEqual([]);
});

test("a result's name that leads out of its directory → refused", () => {
  expect(placeWithin("out", "a/b.txt")).toBe("out/a/b.txt");
  for (const name of ["../x", "a/../../x", "..", ".", "", "x\0y"]) {
    expect(() => placeWithin("out", name)).toThrow(
      expect.objectContaining({ code: "QZ_QCTL_FILE_UNWRITABLE" }),
    );
  }
});
