import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CappedLog } from "./capped-log.ts";

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "queztl-log-"))));
afterEach(() => rmSync(folder, { recursive: true }));

test("a guest that writes a hundred times the limit → two files, within it, the newest bytes last", async () => {
  const path = join(folder, "console.log");
  const log = await CappedLog.open(path, 2000, () => undefined);
  let text = "";
  for (let i = 0; text.length < 200_000; i++) {
    const line = `line ${i}\n`;
    text += line;
    log.write(Buffer.from(line));
    if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await log.close();
  expect(readdirSync(folder).sort()).toEqual(["console.log", "console.log.1"]);
  expect(statSync(path).size).toBeLessThanOrEqual(1000);
  expect(statSync(`${path}.1`).size).toBe(1000);
  const kept = readFileSync(`${path}.1`, "latin1") + readFileSync(path, "latin1");
  expect(text.endsWith(kept)).toBe(true);
});

test("a disk that is slower than the guest → asked to wait, then told to go on", async () => {
  let told = 0;
  const log = await CappedLog.open(join(folder, "log"), 1e6, () => told++);
  expect(log.write(new Uint8Array(255 * 1024))).toBe(true);
  expect(log.write(new Uint8Array(1024))).toBe(false);
  await log.close();
  expect(told).toBe(1);
});

test("opened again → goes on where it was", async () => {
  const path = join(folder, "log");
  for (const text of ["first ", "second"]) {
    const log = await CappedLog.open(path, 1000, () => undefined);
    log.write(Buffer.from(text));
    await log.close();
  }
  expect(readFileSync(path, "utf8")).toBe("first second");
});
