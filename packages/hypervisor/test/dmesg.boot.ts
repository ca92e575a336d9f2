import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { compareBoots, compareLogs } from "./compare-dmesg.ts";

const qemu = spawnSync("qemu-system-x86_64", ["--version"]).status === 0;

test("two logs → what only one says, but for times and numbers", () => {
  const ours =
    "[    0.1] cpu 3 is up\r\n[    0.2] WARNING: a fire at 0x1234\r\n[    0.3] hello\r\n";
  const theirs = "[    1.1] cpu 7 is up\r\nno log line\r\n[    2.3] goodbye\r\n";
  expect(compareLogs(ours, theirs)).toEqual({
    trouble: ["WARNING: a fire at 0x1234"],
    onlyOurs: ["WARNING: a fire at 0x1234", "hello"],
    onlyTheirs: ["goodbye"],
  });
});

test.skipIf(!qemu).each([
  ["cloud", 1, 256],
  ["cloud", 2, 512],
  ["generic", 2, 512],
] as const)(
  "%s kernel, %i processors → no trouble in its log that QEMU's guest has not",
  async (flavour, cpus, memoryMib) => {
    const { trouble, onlyOurs, onlyTheirs } = await compareBoots(flavour, { cpus, memoryMib });
    console.log(`${onlyOurs.length} lines only here, ${onlyTheirs.length} only under QEMU`);
    expect(trouble.join("\n")).toBe("");
  },
);
