import { afterEach, expect, test, vi } from "vitest";
import { command, timed } from "./subjects.ts";

afterEach(() => vi.restoreAllMocks());

test("a body that takes 2 ms by the clock → 2 ms in ns, shared among a call's operations", () => {
  let now = 0n;
  vi.spyOn(process.hrtime, "bigint").mockImplementation(() => now);
  const body = vi.fn<() => bigint>(() => (now += 2_000_000n));
  expect(timed(body)()).toBe(2e6);
  expect(timed(body, 10)()).toBe(2e5);
  // Calibrated to a sample of 20 ms or more: 1 call, then 10 or more, for each of the two.
  expect(body.mock.calls.length).toBeGreaterThanOrEqual(22);
});

test("a program that prints a number → that number", async () => {
  const measure = command([process.execPath, "--print", "21 * 2"], { parse: Number });
  expect(await measure()).toBe(42);
});

test("a program that fails, hangs or is not there → an error that names it", async () => {
  await expect(command([process.execPath, "--eval", "process.exit(3)"])()).rejects.toThrow(
    "ended with 3",
  );
  const hanging = command([process.execPath, "--eval", "setInterval(() => {}, 1000)"], {
    timeoutMs: 200,
  });
  await expect(hanging()).rejects.toThrow("ended with SIGKILL");
  await expect(command(["no-such-program"])()).rejects.toThrow("no-such-program");
});
