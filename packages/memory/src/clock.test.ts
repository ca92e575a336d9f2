import fc from "fast-check";
import { expect, test } from "vitest";
import { VirtualClock } from "./clock.ts";

test("timers → fire in order of time, then of scheduling, and see the time they were set for", () => {
  const clock = new VirtualClock(1000, 5);
  const fired: unknown[] = [];
  const at = (ns: number, name: string) =>
    clock.schedule(ns, () => void fired.push([name, clock.nowNs()]));
  at(30, "c");
  at(10, "a");
  at(30, "d");
  at(20, "b");
  at(2, "past");
  clock.advanceTo(25);
  expect(fired).toEqual([["past", 5], ["a", 10], ["b", 20]]); // prettier-ignore
  expect(clock.nextDeadlineNs()).toBe(30);
  clock.advanceTo(30);
  expect(fired.slice(3)).toEqual([["c", 30], ["d", 30]]); // prettier-ignore
  expect(clock.nextDeadlineNs()).toBe(Infinity);
});

test("cancelled timers, before or inside another's → do not fire", () => {
  const clock = new VirtualClock();
  const fired: string[] = [];
  const a = clock.schedule(10, () => void fired.push("a"));
  const c = clock.schedule(20, () => void fired.push("c"));
  clock.schedule(10, () => c.cancel());
  a.cancel();
  a.cancel();
  clock.advanceTo(100);
  c.cancel();
  expect(fired).toEqual([]);
});

test("a timer that sets itself again for now → waits for the next advance, so the clock goes on", () => {
  const clock = new VirtualClock();
  let fired = 0;
  const again = () => {
    fired++;
    clock.schedule(clock.nowNs(), again);
  };
  clock.schedule(10, again);
  clock.advanceTo(100);
  expect(fired).toBe(1);
  expect(clock.nowNs()).toBe(100);
  clock.advanceTo(100);
  expect(fired).toBe(2);
});

test("a periodic timer → fires at each of its times in one advance", () => {
  const clock = new VirtualClock();
  const times: number[] = [];
  const tick = () => {
    times.push(clock.nowNs());
    clock.schedule(clock.nowNs() + 10, tick);
  };
  clock.schedule(10, tick);
  clock.advanceTo(45);
  expect(times).toEqual([10, 20, 30, 40]);
});

test("time → never goes back, and no strange number moves it", () => {
  const clock = new VirtualClock(0, 50);
  for (const ns of [10, NaN, -Infinity]) clock.advanceTo(ns);
  expect(clock.nowNs()).toBe(50);
});

test("the wall clock set → goes on from there, guest time unmoved", () => {
  const clock = new VirtualClock(1_000_000, 0);
  clock.advanceTo(2e9);
  expect(clock.epochMs()).toBe(1_002_000);
  clock.setEpochMs(5_000_000);
  expect(clock.nowNs()).toBe(2e9);
  clock.advanceTo(3e9);
  expect(clock.epochMs()).toBe(5_001_000);
});

test("any timers and advances → each fires once, at its time, when first reached", () => {
  const time = fc.integer({ min: 0, max: 50 });
  fc.assert(
    fc.property(fc.array(fc.record({ at: time, cancel: fc.boolean() })), fc.array(time), (timers, advances) => {
      const clock = new VirtualClock();
      const fired: number[] = [];
      for (const { at, cancel } of timers) {
        const timer = clock.schedule(at, () => void fired.push(at));
        if (cancel) timer.cancel();
      }
      const end = Math.max(-1, ...advances);
      for (const to of advances) clock.advanceTo(to);
      const live = timers.filter((t) => !t.cancel && t.at <= end).map((t) => t.at);
      expect(fired).toEqual(live.sort((a, b) => a - b));
    }),
  ); // prettier-ignore
});
