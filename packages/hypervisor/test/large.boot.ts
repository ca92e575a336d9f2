import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { restoreMachine, saveMachine } from "../src/node/index.ts";
import { Console, Guest, imageOf, kernelOf } from "./guest.ts";

const MINUTES = 60_000;
/** More than a 32-bit WebAssembly memory holds: 3 GiB below the hole, and 3 GiB from 4 GiB on. */
const MEMORY_MIB = 6144;
const FILE_MIB = 512;

const folder = mkdtempSync(join(tmpdir(), "queztl-large-"));
afterAll(() => rmSync(folder, { recursive: true }));

test(
  "a guest of 6 GiB → sees it, uses what lies above 4 GiB, and comes back from a snapshot",
  async () => {
    const image = await imageOf("cloud");
    if (typeof image === "string") throw new Error(image);
    const kernel = await kernelOf(image, "cryptomgr.notests=1");
    const guest = await Guest.boot({ ...kernel, memoryMib: MEMORY_MIB }, 10 * MINUTES);
    const run = (command: string) => guest.run(command, 10 * MINUTES);
    const map = await run("dmesg | grep BIOS-e820");
    expect(map).toContain("[mem 0x0000000100000000-0x00000001bfffffff] usable");
    const total = Number(await run("free -m | awk '/Mem:/ { print $2 }'"));
    expect(total).toBeGreaterThan(MEMORY_MIB * 0.95);

    // The zone "Normal" begins at 4 GiB.
    const freeAbove4Gib = async (): Promise<number> =>
      Number(await run("awk '/zone +Normal/ { getline; print $3 }' /proc/zoneinfo")) / 256;
    const free = await freeAbove4Gib();
    expect(free).toBeGreaterThan(2500);
    await run("mkdir -p /large && mount -t tmpfs -o size=95% large /large");
    await run("dd if=/dev/urandom of=/large/part bs=1M count=16");
    await run(`for i in $(seq ${FILE_MIB / 16}); do cat /large/part; done > /large/file`);
    const left = await freeAbove4Gib();
    console.log(`${total} MiB; above 4 GiB ${free} MiB free, then ${left}`);
    // The kernel takes the highest zone first.
    expect(free - left).toBeGreaterThan(FILE_MIB * 0.8);
    const sum = await run("tail -c 40000000 /large/file | md5sum");
    const log = await run("dmesg | grep -iE 'lockup|stall|oops|bug:|warning'");
    expect(log).toBe("");

    await guest.machine.pause();
    await saveMachine(guest.machine, folder);
    await guest.machine.stop();
    const serial = new Console();
    await using restored = await restoreMachine(folder, { ...kernel, onSerial: serial.take });
    restored.start();
    const again = Guest.at(restored, serial);
    const sumAgain = await again.run("tail -c 40000000 /large/file | md5sum", 10 * MINUTES);
    expect(sumAgain).toBe(sum);
    expect(Number(await again.run("free -m | awk '/Mem:/ { print $2 }'"))).toBe(total);
  },
  30 * MINUTES,
);
