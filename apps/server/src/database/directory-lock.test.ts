import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lockDirectory } from "./directory-lock.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "queztl-lock-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("a folder in use → QZ_SERVER_HOME_IN_USE that names the process; released → free again", async () => {
  const lock = await lockDirectory(folder);
  await expect(lockDirectory(folder)).rejects.toMatchObject({
    code: "QZ_SERVER_HOME_IN_USE",
    details: { pid: process.pid },
  });
  await lock.release();
  await (await lockDirectory(folder)).release();
  expect(existsSync(join(folder, "server.lock"))).toBe(false);
});

test.each([
  ["of a process that is gone", () => spawnSync("true").pid],
  ["of an earlier process with this one's number", () => process.pid],
])("a lock %s → taken over", async (_, pidOf) => {
  const owner = { pid: pidOf(), started: "1", token: "old" };
  writeFileSync(join(folder, "server.lock"), JSON.stringify(owner));
  const lock = await lockDirectory(folder);
  await expect(lockDirectory(folder)).rejects.toMatchObject({ details: { pid: process.pid } });
  await lock.release();
});

test("many at once on a lock that was left behind → exactly one has it", async () => {
  writeFileSync(join(folder, "server.lock"), '{"pid":999999999,"started":"1","token":"old"}');
  const tries = await Promise.allSettled(Array.from({ length: 8 }, () => lockDirectory(folder)));
  expect(tries.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
});
