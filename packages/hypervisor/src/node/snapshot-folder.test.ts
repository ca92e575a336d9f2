import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isQueztlError } from "@queztl/errors";
import { afterAll, expect, test } from "vitest";
import { Machine } from "../machine.ts";
import { COUNT, FLAT, SCRATCH, program } from "../testing/tiny-kernel.ts";
import { restoreMachine, saveMachine } from "./snapshot-folder.ts";

const folder = mkdtempSync(join(tmpdir(), "queztl-snapshot-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string): string => join(folder, name);
const options = { kernel: program(COUNT), flat: FLAT, memoryMib: 2 };

async function counting(): Promise<Machine> {
  const machine = await Machine.create(options);
  machine.start();
  await machine.pause();
  return machine;
}

test("a machine saved into a folder and restored, twice → each goes on from there", async () => {
  await using machine = await counting();
  const count = machine.memory.readUint32(SCRATCH);
  await saveMachine(machine, at("twice"));
  for (let i = 0; i < 2; i++) {
    await using restored = await restoreMachine(at("twice"), options);
    expect(restored.memory.readUint32(SCRATCH)).toBe(count);
    restored.start();
    await restored.pause();
    expect(restored.memory.readUint32(SCRATCH)).toBeGreaterThan(count);
  }
  // The first one goes on, too, and its next snapshot replaces this one.
  machine.start();
  await machine.pause();
  await saveMachine(machine, at("twice"));
  await using later = await restoreMachine(at("twice"), options);
  expect(later.memory.readUint32(SCRATCH)).toBe(machine.memory.readUint32(SCRATCH));
});

test.skipIf(process.platform !== "linux")(
  "a restored machine saved in part, its copy too → what changed beside a link; each goes on alone",
  async () => {
    await using machine = await counting();
    machine.memory.writeView(0x11_0000, 0x7_0000).fill(0x5a);
    await saveMachine(machine, at("origin"));
    let from = "origin";
    let count = machine.memory.readUint32(SCRATCH);
    for (const name of ["child", "grandchild"]) {
      await using copy = await restoreMachine(at(from), options);
      copy.start();
      await copy.pause();
      await saveMachine(copy, at(name), { share: true, durable: false });
      expect(copy.memory.readUint32(SCRATCH)).toBeGreaterThan(count);
      count = copy.memory.readUint32(SCRATCH);
      const { ino } = statSync(at("origin/memory.snapshot"));
      expect(statSync(at(`${name}/base.snapshot`)).ino).toBe(ino);
      expect(statSync(at(`${name}/memory.snapshot`)).blocks * 512).toBeLessThan(0x2_0000);
      from = name;
    }
    rmSync(at("child"), { recursive: true });
    await using last = await restoreMachine(at("grandchild"), options);
    expect(last.memory.readUint32(SCRATCH)).toBe(count);
    expect(last.memory.readUint8(0x17_ffff)).toBe(0x5a);
    // Its own folder: what it is mapped from stays beside what is new.
    last.start();
    await last.pause();
    for (const share of [true, true, false]) {
      await saveMachine(last, at("grandchild"), { share });
      await using again = await restoreMachine(at("grandchild"), options);
      expect(again.memory.readUint32(SCRATCH)).toBe(last.memory.readUint32(SCRATCH));
    }
    expect(existsSync(at("grandchild/base.snapshot"))).toBe(false);
    // Its base is gone from there: all is stored.
    await saveMachine(last, at("whole"), { share: true });
    expect(existsSync(at("whole/base.snapshot"))).toBe(false);
    await using whole = await restoreMachine(at("whole"), options);
    expect(whole.memory.readUint8(0x17_ffff)).toBe(0x5a);
  },
);

test("folders that hold no snapshot → coded errors", async () => {
  await using machine = await counting();
  await saveMachine(machine, at("one"));
  machine.start();
  await machine.pause();
  await saveMachine(machine, at("other"));
  const restored = (name: string) => restoreMachine(at(name), options);
  const code = (expected: string) => expect.toSatisfy((error) => isQueztlError(error, expected));
  await expect(restored("none")).rejects.toThrow(code("QZ_HYPERVISOR_SNAPSHOT_FILE"));
  copyFileSync(at("one/memory.snapshot"), at("other/memory.snapshot"));
  await expect(restored("other")).rejects.toThrow(code("QZ_HYPERVISOR_SNAPSHOT"));
  truncateSync(at("one/memory.snapshot"), 100_000);
  await expect(restored("one")).rejects.toThrow(code("QZ_MEMORY_SNAPSHOT_FILE"));
  for (const text of ["", "null", "{}", "[1]"]) {
    writeFileSync(at("one/machine.json"), text);
    await expect(restored("one")).rejects.toThrow(code("QZ_HYPERVISOR_SNAPSHOT"));
  }
  await expect(saveMachine(machine, join(import.meta.filename, "x"))).rejects.toThrow(
    code("QZ_HYPERVISOR_SNAPSHOT_FILE"),
  );
});
