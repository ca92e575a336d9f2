import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { MemoryFile, RawDisk } from "@queztl/virtio";
import type { BlockBackend } from "@queztl/virtio";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SCRATCH_BYTES } from "./virtio-devices.ts";
import { VirtioGuest, debianSource, testFolder } from "./virtio-guest.ts";
import type { GuestSource } from "./virtio-guest.ts";

const MIB = 2 ** 20;
const folder = testFolder("virtio-memory");
const snapshot = join(folder.path, "snapshot");
let source: GuestSource;
afterAll(folder.remove);

/** What this process, the guest's monitor, holds of the host's memory, in MiB. */
function residentMib(): number {
  const status = readFileSync("/proc/self/status", "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

beforeAll(async () => {
  source = await debianSource(["iperf3", "fio"], 384);
  // The file system in memory is the guest's own, which the balloon sees.
  await using guest = await VirtioGuest.boot(source);
  await guest.sh("mount -t tmpfs -o size=300m tmpfs /tmp");

  const before = residentMib();
  await guest.sh("head -c 160M /dev/urandom > /tmp/large");
  const full = residentMib();
  await guest.sh("rm /tmp/large");
  const reported = (): number => guest.devices.balloon.counters.reportedBytes / MIB;
  // Linux waits two seconds before it reports what was freed.
  await expect.poll(reported, { timeout: 120_000 }).toBeGreaterThan(140);
  const after = residentMib();
  measured.push({ before, full, after, reported: reported() });

  // What was given back is the guest's again at any time, and holds what it writes.
  await guest.sh("head -c 100M /dev/zero > /tmp/again");
  const zeros = "20492a4d0d84f8beb1767f6616229f85d44c2827b64bdbfb260ee12fa1109e0e";
  expect(await guest.sh("sha256sum < /tmp/again")).toBe(`${zeros}  -`);
  await guest.sh("rm /tmp/again");

  guest.devices.balloon.setTarget(200 * MIB);
  await expect
    .poll(() => guest.devices.balloon.actualBytes / MIB, { timeout: 300_000 })
    .toBeGreaterThan(195);
  const total = "awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo";
  measured.push({ inflated: Number(await guest.sh(total)) });
  guest.devices.balloon.setTarget(0);
  await expect.poll(() => guest.devices.balloon.actualBytes, { timeout: 300_000 }).toBe(0);
  const statistics = await guest.devices.balloon.askStatistics();
  expect(statistics.totalBytes ?? 0).toBeGreaterThan(300 * MIB);
  await guest.save(snapshot);
}, 1_800_000);

const measured: Record<string, number>[] = [];

test("160 MB freed in the guest → the host has it back, by free page reporting alone", () => {
  const [sizes] = measured;
  console.log("resident MiB of the monitor:", sizes);
  const { before = 0, full = 0, after = 0 } = sizes ?? {};
  expect(full - before).toBeGreaterThan(120);
  expect(full - after).toBeGreaterThan(120);
});

test("a target of 200 MiB → the guest gives that much, and has it back at 0", () => {
  const [, balloon] = measured;
  expect(balloon?.["inflated"]).toBeGreaterThan(100);
});

/** A disk that takes its time, so that requests pile up before it. */
async function slowDisk(): Promise<BlockBackend> {
  const disk = await RawDisk.open(new MemoryFile(SCRATCH_BYTES));
  const wait = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));
  return {
    capacity: disk.capacity,
    readOnly: false,
    read: async (offset, target) => {
      await wait();
      await disk.read(offset, target);
    },
    // Nothing is kept: only what the monitor holds on the way is to be seen.
    write: wait,
    flush: wait,
    discard: wait,
    writeZeroes: wait,
    close: () => disk.close(),
  };
}

const FLOODS: readonly (readonly [string, (ports: { tcp: number; udp: number }) => string])[] = [
  [
    "disk writes, 256 of 1 MiB at once",
    () =>
      "cd /tmp; fio --name=flood --filename=/dev/vdb --rw=write --bs=1m --iodepth=256 --ioengine=libaio " +
      "--direct=1 --size=256m --runtime=8 --time_based --minimal >/dev/null",
  ],
  [
    "datagrams to 20,000 ports",
    ({ udp }) =>
      `perl -e 'use Socket; socket(my $s, PF_INET, SOCK_DGRAM, 0); my $i = 0;
        for my $n (1 .. 20000) { send $s, "x" x 1400, 0, sockaddr_in($n % 2 ? ${udp} : 1 + $n, inet_aton("10.0.2.2")) }
        for my $n (1 .. 3000) { socket(my $t, PF_INET, SOCK_DGRAM, 0); send $t, "x", 0, sockaddr_in(${udp}, inet_aton("10.0.2.2")) }'`,
  ],
  [
    "3000 connections to a server that does not read, each as full as it gets",
    ({ tcp }) =>
      `perl -e 'use IO::Socket::INET; my @s;
        for (1 .. 3000) { my $s = IO::Socket::INET->new(PeerAddr => "10.0.2.2:${tcp}", Blocking => 0) or last; push @s, $s }
        sleep 2; my $sent = 0;
        for my $s (@s) { $s->blocking(0); while (my $n = syswrite $s, "x" x 65536) { $sent += $n } }
        print scalar(@s), " sockets, $sent bytes\\n"; sleep 2'`,
  ],
  [
    "64 MB to the terminals",
    () => "head -c 64M /dev/zero > /dev/hvc0 & head -c 300k /dev/zero > /dev/ttyS0; wait",
  ],
  ["the entropy device, read without end", () => "timeout 5 cat /dev/hwrng > /dev/null; true"],
];

test.each(FLOODS)(
  "a guest that floods (%s) → the monitor's memory stays bounded",
  async (name, flood) => {
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.pause();
    }).listen(0, "127.0.0.1");
    const datagrams = createSocket("udp4").bind(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const ports = { tcp: (server.address() as AddressInfo).port, udp: datagrams.address().port };
    await using guest = await VirtioGuest.restore(source, snapshot, { scratch: await slowDisk() });
    await guest.sh("true");
    globalThis.gc?.();
    const start = heldMib();
    let most = 0;
    const timer = setInterval(() => (most = Math.max(most, heldMib() - start)), 20);
    const output = await guest.agent.run(["sh", "-c", flood(ports)], { timeoutMs: 600_000 });
    clearInterval(timer);
    expect(output.stderr).toBe("");
    console.log(`${name}: ${most.toFixed(0)} MiB at most ${output.stdout.trim()}`);
    // What README.md says a guest can make the monitor hold, and garbage that was not collected yet.
    expect(most).toBeLessThan(200);
    expect(guest.devices.faults).toEqual([]);
    // It serves on.
    expect(await guest.sh("echo on")).toBe("on");
    await guest.machine.stop();
    server.close();
    datagrams.close();
  },
);

/** Memory of this process outside the guest's own, in MiB: the heap, and buffers. */
function heldMib(): number {
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / MIB;
}
