import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import type { Flavour } from "@queztl/images";
import { Guest, imageOf, kernelOf } from "./guest.ts";

const LARGE_BYTES = 20_000_000;
const MINUTES = 60_000;

/** What the same kernels do not print under QEMU: see compare-dmesg.ts. */
const TROUBLE =
  /warning|oops|unreliable|calibration failed|lockup|stall|call trace|general protection|hung task/i;

async function boot(flavour: Flavour, size: { cpus: number; memoryMib: number }) {
  const image = await imageOf(flavour);
  if (typeof image === "string") throw new Error(image);
  const guest = await Guest.boot({ ...(await kernelOf(image)), ...size }, 10 * MINUTES);
  const { init, prompt } = guest.seconds;
  const millions = Math.round(guest.machine.statistics.instructions / 1e6);
  console.log(flavour, size, `init ${init} s, prompt ${prompt} s, ${millions} M instructions`);
  // What the kernel says is read from its log: on a busy host it says how long an interrupt took, amid other output.
  await guest.run("dmesg -n 1");
  return { guest, image };
}

/** A text of a line that repeats: large, and easily made at both ends. */
const LINE = "the quick brown fox jumps over the lazy dog 0123456789";
function checksumOfLines(bytes: number): string {
  const text = `${LINE}\n`.repeat(Math.ceil(bytes / (LINE.length + 1))).slice(0, bytes);
  return createHash("sha256").update(text).digest("hex");
}

/** Instructions that each processor executes while a loop is bound to each. */
async function busyLoops(guest: Guest, cpus: number): Promise<readonly number[]> {
  const { machine } = guest;
  const before = machine.statistics.instructionsByCpu;
  const each = Array.from({ length: cpus }, (_, cpu) => cpu).join(" ");
  await guest.run(
    `for cpu in ${each}; do taskset -c $cpu sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done' & done; wait`,
    5 * MINUTES,
  );
  return machine.statistics.instructionsByCpu.map((count, i) => count - (before[i] ?? 0));
}

describe.each([
  ["cloud", 1, 256],
  ["cloud", 1, 2048],
  ["cloud", 2, 256],
  ["cloud", 2, 2048],
  ["cloud", 4, 512],
  ["generic", 1, 256],
  ["generic", 1, 2048],
  ["generic", 2, 256],
  ["generic", 2, 2048],
  ["i386", 1, 256],
  ["i386", 2, 2048],
] as const)("%s kernel, %i processors, %i MiB", (flavour, cpus, memoryMib) => {
  test("boots to a shell that works, without trouble in its log", async () => {
    const { guest, image } = await boot(flavour, { cpus, memoryMib });
    await using _ = guest;
    expect(await guest.run("uname -r")).toBe(image.release);
    expect(await guest.run("nproc")).toBe(String(cpus));
    const total = Number(await guest.run("awk '/MemTotal/ { print $2 }' /proc/meminfo"));
    expect(total / 1024).toBeGreaterThan(memoryMib * 0.7);
    expect((await guest.run("ls -1 /")).split("\n")).toEqual(
      expect.arrayContaining(["bin", "proc", "sys"]),
    );
    expect(await guest.run("ps")).toMatch(/1 root .*init/);
    expect(await guest.run("seq 1 2000 | sort -rn | head -1")).toBe("2000");
    expect(await guest.run("awk 'BEGIN { printf \"%.9f\", 355 / 113 * 1e3 }'")).toBe(
      "3141.592920354",
    );
    expect(await guest.run(`yes '${LINE}' | head -c 2000000 | sha256sum`, 5 * MINUTES)).toBe(
      `${checksumOfLines(2_000_000)}  -`,
    );
    const asked = Date.now() / 1000;
    const date = Number(await guest.run("date +%s"));
    expect(date).toBeGreaterThan(asked - 2);
    expect(date).toBeLessThan(Date.now() / 1000 + 2);
    const busy = await busyLoops(guest, cpus);
    expect(Math.min(...busy)).toBeGreaterThan(Math.max(...busy) / 3);
    expect(await guest.run("cat /sys/class/dmi/id/product_name")).toBe("Virtual PC");
    const log = await guest.run("dmesg");
    expect(log.split("\n").filter((line) => TROUBLE.test(line))).toEqual([]);
    expect(await guest.run("cat /sys/devices/system/clocksource/*/current_clocksource")).toMatch(
      /^(tsc|kvm-clock)$/,
    );
    await guest.type("poweroff");
    expect(await guest.machine.ended).toEqual({ reason: "power-off" });
  });
});

test("a 32-bit bzImage as Debian ships it → its 32-bit entry, unpacks itself, a shell that works", async () => {
  const image = await imageOf("i386");
  if (typeof image === "string") throw new Error(image);
  const kernel = await readFile(image.bzImage.path);
  const options = { ...(await kernelOf(image, "cryptomgr.notests=1")), kernel };
  await using guest = await Guest.boot(options, 10 * MINUTES);
  expect(await guest.run("uname -rm")).toBe(`${image.release} i686`);
  expect(await guest.run("awk 'BEGIN { printf \"%.9f\", 355 / 113 * 1e3 }'")).toBe(
    "3141.592920354",
  );
});

test("a large file's checksum → the host's; an idle guest; reboot; the power button", async () => {
  const { guest } = await boot("cloud", { cpus: 2, memoryMib: 512 });
  await using _ = guest;
  const { machine, console } = guest;
  await guest.run(`yes '${LINE}' | head -c ${LARGE_BYTES} > /tmp/large`, 5 * MINUTES);
  expect(await guest.run("sha256sum < /tmp/large", 5 * MINUTES)).toBe(
    `${checksumOfLines(LARGE_BYTES)}  -`,
  );

  const cpu = process.cpuUsage();
  await new Promise((resolve) => setTimeout(resolve, 10_000));
  const { user, system } = process.cpuUsage(cpu);
  globalThis.console.log(`idle at the prompt: ${(user + system) / 1e6} CPU seconds in 10 s`);
  expect((user + system) / 1e6).toBeLessThan(1);

  await guest.type("reboot");
  await console.until("Linux version", machine, 5 * MINUTES);
  await console.until(":~# ", machine, 10 * MINUTES);
  expect(machine.statistics.resets).toBe(1);
  machine.pressPowerButton();
  expect(await machine.ended).toEqual({ reason: "power-off" });
});
