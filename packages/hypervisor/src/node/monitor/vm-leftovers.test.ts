import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { bytesIn, removePartials } from "./vm-leftovers.ts";

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "queztl-leftovers-"))));
afterEach(() => rmSync(folder, { recursive: true }));

test("what killed monitors left, beside what counts → only the latter stays", async () => {
  mkdirSync(join(folder, "snapshots", "half.12.partial", "disks"), { recursive: true });
  mkdirSync(join(folder, "snapshots", "whole"));
  for (const name of [
    "config.json",
    "state.json",
    "state.json.77.partial",
    ".run-0a",
    "run-3.lock",
  ])
    writeFileSync(join(folder, name), "x");
  await removePartials(folder);
  expect(readdirSync(folder).sort()).toEqual([
    "config.json",
    "run-3.lock",
    "snapshots",
    "state.json",
  ]);
  expect(readdirSync(join(folder, "snapshots"))).toEqual(["whole"]);
  await removePartials(join(folder, "none"));
});

test("files in folders → the bytes they take, holes not counted", async () => {
  expect(await bytesIn(join(folder, "none"))).toBe(0);
  mkdirSync(join(folder, "a", "b"), { recursive: true });
  writeFileSync(join(folder, "a", "one"), new Uint8Array(100_000));
  writeFileSync(join(folder, "a", "b", "two"), new Uint8Array(50_000));
  const bytes = await bytesIn(folder);
  expect(bytes).toBeGreaterThanOrEqual(150_000);
  expect(bytes).toBeLessThan(200_000);
});
