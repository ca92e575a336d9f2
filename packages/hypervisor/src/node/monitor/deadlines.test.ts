import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Deadlines } from "./deadlines.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function deadlines(limits: { lifetimeSeconds?: number; idleSeconds?: number }) {
  const usage = { busy: false, lastMs: performance.now() };
  const over: string[] = [];
  const createdMs = Date.now();
  const timer = new Deadlines({
    limits,
    createdMs,
    usage: () => usage,
    over: (why) => over.push(why),
  });
  return { timer, usage, over };
}

test("no limits → no timer", () => {
  deadlines({});
  expect(vi.getTimerCount()).toBe(0);
});

test("a lifetime of two months → over then, not sooner, used or not", () => {
  const { usage, over } = deadlines({ lifetimeSeconds: 60 * 86_400 });
  usage.busy = true;
  vi.advanceTimersByTime(60 * 86_400_000 - 1000);
  expect(over).toEqual([]);
  vi.advanceTimersByTime(2000);
  expect(over).toEqual(["lifetime"]);
  expect(vi.getTimerCount()).toBe(0);
});

test("a time without use → counted from the last use, and not while it is used", () => {
  const { usage, over } = deadlines({ idleSeconds: 10 });
  vi.advanceTimersByTime(9000);
  usage.lastMs = performance.now();
  vi.advanceTimersByTime(9000);
  expect(over).toEqual([]);
  usage.busy = true;
  vi.advanceTimersByTime(60_000);
  expect(over).toEqual([]);
  usage.busy = false;
  usage.lastMs = performance.now();
  vi.advanceTimersByTime(25_000);
  expect(over).toEqual(["idle"]);
});

test("stopped → never over", () => {
  const { timer, over } = deadlines({ lifetimeSeconds: 1, idleSeconds: 1 });
  timer.stop();
  vi.advanceTimersByTime(5000);
  expect(over).toEqual([]);
});
