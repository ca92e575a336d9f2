import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { identify, isAlive } from "./process-identity.ts";
import { claimRun, lastRun } from "./run-lock.ts";

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "queztl-lock-"))));
afterEach(() => rmSync(folder, { recursive: true }));

test("a folder that no monitor had → no run; claimed → the first, alive, by this process", async () => {
  expect(await lastRun(folder)).toBeUndefined();
  expect(await claimRun(folder)).toBe(1);
  expect(await lastRun(folder)).toMatchObject({
    run: 1,
    monitor: { pid: process.pid },
    alive: true,
  });
});

test("claimed while the monitor lives → refused, with nothing left behind", async () => {
  await claimRun(folder);
  await expect(claimRun(folder)).rejects.toMatchObject({ code: "QZ_HYPERVISOR_VM_STATE" });
  expect(readdirSync(folder)).toEqual(["run-1.lock"]);
});

test("a lock of a process that ended → the next run; the old lock is gone", async () => {
  const child = spawn(process.execPath, ["-e", "process.stdin.resume()"], { stdio: "pipe" });
  const identity = await identify(child.pid as number);
  writeFileSync(join(folder, "run-7.lock"), JSON.stringify(identity));
  expect((await lastRun(folder))?.alive).toBe(true);
  child.kill("SIGKILL");
  await new Promise((resolve) => child.once("exit", resolve));
  expect((await lastRun(folder))?.alive).toBe(false);
  expect(await claimRun(folder)).toBe(8);
  expect(readdirSync(folder)).toEqual(["run-8.lock"]);
});

test("another process with the same number → not the monitor", async () => {
  const mine = await identify(process.pid);
  expect(mine && (await isAlive(mine))).toBe(true);
  expect(await isAlive({ pid: process.pid, began: "another boot 12345" })).toBe(false);
});

test("twenty claims at once → one of them", async () => {
  const claims = await Promise.allSettled(Array.from({ length: 20 }, () => claimRun(folder)));
  expect(claims.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  expect(readdirSync(folder)).toEqual(["run-1.lock"]);
});
