import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { collectGarbage } from "./collect-garbage.ts";
import { collectModules } from "./collect-modules.ts";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test("a machine that goes on making modules → collected once for each so many of them, until it ends", () => {
  const translator = { modules: 0 };
  let collections = 0;
  const end = collectModules({ statistics: { translator } }, () => collections++);
  const after = (modules: number): number => {
    translator.modules = modules;
    vi.advanceTimersByTime(2000);
    return collections;
  };
  expect([after(255), after(256), after(300), after(511), after(2000), after(2000)]).toEqual([
    0, 1, 1, 1, 2, 2,
  ]);
  end();
  expect(after(10_000)).toBe(2);
});

test("an interpreted machine → nothing is collected", () => {
  const collect = vi.fn<() => void>();
  const end = collectModules({ statistics: { translator: undefined } }, collect);
  vi.advanceTimersByTime(10_000);
  end();
  expect(collect).not.toHaveBeenCalled();
});

test("garbage is collected → what nobody holds is gone", async () => {
  vi.useRealTimers();
  const lost = new WeakRef(new Uint8Array(1 << 20));
  await new Promise((resolve) => setTimeout(resolve, 0));
  collectGarbage();
  expect(lost.deref()).toBeUndefined();
});
