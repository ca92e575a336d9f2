import { createHash } from "node:crypto";
import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { MemoryFile, RawDisk } from "@queztl/virtio";
import type { BlockBackend } from "@queztl/virtio";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SCRATCH_BYTES } from "./virtio-devices.ts";
import { VirtioGuest, debianSource, testFolder, until } from "./virtio-guest.ts";
import type { GuestSource } from "./virtio-guest.ts";

const MIB = 2 ** 20;
const MEMORY_MIB = 384;
const folder = testFolder("virtio-memory");
const snapshot = join(folder.path, "snapshot");
let source: GuestSource;
afterAll(folder.remove);

interface Mapping {
  readonly start: bigint;
  readonly end: bigint;
  readonly residentKib: number;
}

/** What is mapped into this process. */
function mappings(): Mapping[] {
  const smaps = readFileSync("/proc/self/smaps", "latin1");
  const entry = /^([\da-f]+)-([\da-f]+) .*\n(?:[A-Z].*\n)*?Rss: +(\d+) kB/gm;
  return [...smaps.matchAll(entry)].map(([, start, end, rss]) => ({
    start: BigInt(`0x${start}`),
    end: BigInt(`0x${end}`),
    residentKib: Number(rss),
  }));
}

/** The guest's memory: of what is mapped in its size or larger, that which is used. */
function guestMapping(): Mapping {
  const large = mappings()
    .filter(({ start, end }) => end - start >= MEMORY_MIB * MIB)
    .sort((a, b) => b.residentKib - a.residentKib);
  if (!large[0]) throw new Error("nothing so large is mapped");
  return large[0];
}

/** How much of the guest's memory the host holds, in MiB; what the engine compiles meanwhile is not in it. */
function residentGuestMib({ start, end }: Mapping): number {
  const within = mappings().filter((each) => each.start >= start && each.end <= end);
  return within.reduce((sum, { residentKib }) => sum + residentKib, 0) / 1024;
}

/** What the balloon did, measured before any other test makes this process larger. */
const measured = { before: 0, full: 0, after: 0, again: "", inflated: 0, deflated: 0 };

beforeAll(async () => {
  source = await debianSource(["iperf3", "fio"], MEMORY_MIB);
  await using guest = await VirtioGuest.boot(source);
  await guest.sh("mount -t tmpfs -o size=300m tmpfs /tmp");
  const { balloon } = guest.devices;

  const memory = guestMapping();
  measured.before = residentGuestMib(memory);
  await guest.sh("head -c 160M /dev/zero > /tmp/large");
  measured.full = residentGuestMib(memory);
  // Its boot freed memory as well.
  const { reportedBytes } = balloon.counters;
  await guest.sh("rm /tmp/large");
  // Linux waits two seconds before it reports what was freed.
  await until(
    "free pages are reported",
    () => balloon.counters.reportedBytes - reportedBytes > 140 * MIB,
  );
  measured.after = residentGuestMib(memory);
  // What was given back is the guest's again at any time, and holds what it writes.
  measured.again = await guest.sh("head -c 50M /dev/zero > /tmp/again; sha256sum < /tmp/again");
  await guest.sh("rm /tmp/again");

  const available = "awk '/MemAvailable/ { print int($2 / 1024) }' /proc/meminfo";
  balloon.setTarget(100 * MIB);
  await until("the balloon is full", () => balloon.actualBytes >= 100 * MIB);
  measured.inflated = Number(await guest.sh(available));
  balloon.setTarget(0);
  await until("the balloon is empty", () => balloon.actualBytes === 0);
  measured.deflated = Number(await guest.sh(available));
  await guest.save(snapshot);
}, 1_800_000);

test("160 MB freed in the guest → the host has it back, by free page reporting alone", () => {
  const { before, full, after, again } = measured;
  console.log(
    `resident MiB of the guest's memory: ${before} before, ${full} in use, ${after} freed`,
  );
  expect(full - before).toBeGreaterThan(120);
  expect(full - after).toBeGreaterThan(120);
  const zeros = createHash("sha256")
    .update(new Uint8Array(50 * MIB))
    .digest("hex");
  expect(again).toBe(`${zeros}  -`);
});

test("a target of 100 MiB → the guest gives that much, and has it back at 0", () => {
  const { inflated, deflated } = measured;
  console.log(`MiB available in the guest: ${inflated}, then ${deflated}`);
  expect(deflated - inflated).toBeGreaterThan(80);
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
