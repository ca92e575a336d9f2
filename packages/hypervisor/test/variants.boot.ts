import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { disk } from "../src/node/index.ts";
import { Guest, imageOf, kernelOf } from "./guest.ts";

const MINUTES = 60_000;
const folder = mkdtempSync(join(tmpdir(), "queztl-variants-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** A cloud kernel with these words on its command line, and a disk to take interrupts from. */
async function boot(words: string): Promise<Guest> {
  const image = await imageOf("cloud");
  if (typeof image === "string") throw new Error(image);
  const path = join(folder, "disk.img");
  writeFileSync(path, Buffer.alloc(4 << 20, "abcd"));
  const kernel = await kernelOf(image, `cryptomgr.notests=1 ${words}`);
  const devices = [disk({ path, readOnly: true })];
  return Guest.boot({ ...kernel, memoryMib: 256, devices }, 10 * MINUTES);
}

test.each([
  ["noapic nolapic", "XT-PIC", "virtio"],
  ["noapic", "XT-PIC", "ttyS0"],
  ["acpi=off", "XT-PIC", "timer"],
  ["pci=nomsi", "IO-APIC", "virtio"],
  ["pci=nommconf", "PCI-MSI", "virtio"],
  ["hpet=disable notsc clocksource=acpi_pm", "PCI-MSI", "virtio"],
])(
  "%s → its interrupts come through %s, the disk is read, the clock goes",
  async (words, ...irq) => {
    await using guest = await boot(words);
    const interrupts = await guest.run("cat /proc/interrupts");
    const [controller, name] = irq;
    expect(interrupts).toMatch(new RegExp(`${controller}.*${name}`));
    expect(await guest.run("head -c 8 /dev/vda")).toBe("abcdabcd");
    const date = Number(await guest.run("sleep 1; date +%s"));
    expect(Math.abs(date - Date.now() / 1000)).toBeLessThan(3);
  },
);

// A triple fault (reboot=t) is an end of its own here, with an exit status.
test.each(["a", "k", "p"])(
  "reboot=%s (ACPI, keyboard, port 0xcf9) → the kernel starts again",
  async (way) => {
    await using guest = await boot(`reboot=${way}`);
    await guest.type("reboot");
    await guest.console.until("Linux version", guest.machine, 5 * MINUTES);
    expect(guest.machine.statistics.resets).toBe(1);
  },
);
