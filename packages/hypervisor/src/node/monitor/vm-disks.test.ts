import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"; // prettier-ignore
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { VmConfig } from "../vm/vm-config.ts";
import { DiskQuota } from "./quota-file.ts";
import { openVmDisk, recoverVmDisks, replaceVmDisks, saveVmDisk } from "./vm-disks.ts";

const BYTES = 1024 * 1024;
let home: string;
let config: VmConfig;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "queztl-disks-"));
  writeFileSync(join(home, "image"), new Uint8Array(BYTES).fill(1));
  mkdirSync(join(home, "vm"));
  config = { disks: [{ path: join(home, "image"), mode: "overlay" }] } as unknown as VmConfig;
});
afterEach(() => rmSync(home, { recursive: true }));

const quota = () => new DiskQuota(Infinity, () => undefined);
const vm = () => join(home, "vm");

async function sectorAt(offset: number): Promise<number | undefined> {
  const { backend } = await openVmDisk(config, vm(), 0, quota());
  const bytes = new Uint8Array(512);
  await backend.read(offset, bytes);
  await backend.close();
  return bytes[0];
}

async function write(value: number, snapshot?: string): Promise<void> {
  const { backend, overlay } = await openVmDisk(config, vm(), 0, quota());
  await backend.write(8192, new Uint8Array(512).fill(value));
  if (snapshot && overlay) await saveVmDisk(overlay, vm(), snapshot, 0);
  await backend.flush();
  await backend.close();
}

test("saved, written to, put back → as it was saved, and the image as it always was", async () => {
  await write(2, join(home, "snapshot"));
  await write(3);
  expect(await sectorAt(8192)).toBe(3);
  await replaceVmDisks(config, vm(), join(home, "snapshot"));
  expect([await sectorAt(8192), await sectorAt(8192 + 512), await sectorAt(0)]).toEqual([2, 1, 1]);
  expect(readFileSync(join(home, "image")).every((byte) => byte === 1)).toBe(true);
});

test("killed at any step of putting disks back → the old ones or the new ones, whole", async () => {
  await write(2, join(home, "snapshot"));
  await write(3);
  const [disks, next, former] = ["disks", "disks.next", "disks.former"].map((name) =>
    join(vm(), name),
  ) as [string, string, string];
  const copied = (): void =>
    cpSync(join(home, "snapshot", "disks"), join(next, "disks"), { recursive: true });
  const steps: [string, number, () => void][] = [
    ["amid the copy", 3, () => mkdirSync(join(next, "disks"), { recursive: true })],
    ["before the first rename", 3, copied],
    ["between the renames", 2, () => (copied(), renameSync(disks, former))],
    ["after both", 2, () => (copied(), renameSync(disks, former), renameSync(join(next, "disks"), disks))],
  ]; // prettier-ignore
  for (const [step, expected, kill] of steps) {
    kill();
    await recoverVmDisks(vm());
    expect([step, await sectorAt(8192)]).toEqual([step, expected]);
    expect([next, former].some((path) => existsSync(path))).toBe(false);
    await write(3);
  }
  await recoverVmDisks(join(home, "vm-without-disks"));
});
