import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { createServer as createTcpServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { join } from "node:path";
import { Switch } from "@queztl/virtio";
import { afterAll, beforeAll, expect, test } from "vitest";
import { VirtioGuest, debianSource, testFolder } from "./virtio-guest.ts";
import type { GuestSource } from "./virtio-guest.ts";

/** Bytes of the download; by hand QUEZTL_DOWNLOAD_MB=100. */
const DOWNLOAD_BYTES = Number(process.env["QUEZTL_DOWNLOAD_MB"] ?? 8) * 1_000_000;
const CONNECTIONS = 200;
/** Seconds of each iperf3 run. */
const SECONDS = 3;
const GATEWAY = "10.0.2.2";

const folder = testFolder("virtio-network");
const snapshot = join(folder.path, "snapshot");
const servers: Server[] = [];
let source: GuestSource;

beforeAll(async () => {
  source = await debianSource(["iperf3", "fio"], 256);
  await using guest = await VirtioGuest.boot(source);
  await guest.sh("mount -t tmpfs tmpfs /tmp");
  await guest.save(snapshot);
}, 900_000);

afterAll(() => {
  for (const server of servers) server.close();
  folder.remove();
});

/** Lets a server listen on the host; its port. */
async function listening(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

/** A TCP server whose connections may be half-closed. */
const tcp = (serve: (socket: Socket) => void): Promise<number> =>
  listening(
    createTcpServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => undefined);
      serve(socket);
    }),
  );

/** Runs a Perl program in the guest; its output. */
async function perl(guest: VirtioGuest, program: string, ...words: unknown[]): Promise<string> {
  await guest.agent.writeFile("/tmp/program.pl", `use strict; use IO::Socket::INET;\n${program}`);
  return guest.sh(`perl /tmp/program.pl ${words.join(" ")}`);
}

const CALL = `
sub call { my ($port) = @_; return IO::Socket::INET->new(PeerAddr => '${GATEWAY}', PeerPort => $port, Proto => 'tcp') }
`;

test("a download through apt's own client and one through wget → the checksums of what the host served", async () => {
  const content = Buffer.alloc(DOWNLOAD_BYTES);
  for (let at = 0; at < content.length - 4; at += 4)
    content.writeUInt32LE(Math.imul(at, 2654435761) >>> 0, at);
  const sum = createHash("sha256").update(content).digest("hex");
  const server = createServer((_, response) => void response.end(content));
  const url = `http://${GATEWAY}:${await listening(server)}/package.deb`;
  await using guest = await VirtioGuest.restore(source, snapshot);
  const started = performance.now();
  // It checks the sum itself, and fails where it differs.
  const apt = "/usr/lib/apt/apt-helper -o APT::Sandbox::User=root";
  await guest.sh(`${apt} download-file ${url} /tmp/apt.deb SHA256:${sum}`);
  const rate = DOWNLOAD_BYTES / (performance.now() - started) / 1000;
  console.log(`apt: ${DOWNLOAD_BYTES / 1e6} MB, fetched and summed at ${rate.toFixed(1)} MB/s`);
  await guest.sh(`rm /tmp/apt.deb; /run/queztl/busybox wget -q -O /tmp/wget.deb ${url}`);
  expect(await guest.sh("sha256sum </tmp/wget.deb")).toBe(`${sum}  -`);
  expect(guest.devices.net.counters.droppedFrames).toBe(0);
  expect(guest.devices.faults).toEqual([]);
});

test(`${CONNECTIONS} connections at once → each has its own bytes back`, async () => {
  let most = 0;
  const open = new Set<Socket>();
  const port = await tcp((socket) => {
    open.add(socket);
    most = Math.max(most, open.size);
    // Nobody is answered before all are there.
    if (open.size === CONNECTIONS) for (const each of open) each.pipe(each);
    socket.on("close", () => open.delete(socket));
  });
  await using guest = await VirtioGuest.restore(source, snapshot);
  const output = await perl(
    guest,
    `${CALL}
my @sockets = map { call($ARGV[0]) or die "connection $_: $!" } 1 .. ${CONNECTIONS};
my $n = 0;
for my $socket (@sockets) { my $text = sprintf("%04d", $n++) x 1000; print $socket $text; $socket->flush; shutdown $socket, 1 }
my ($right, $at) = (0, 0);
for my $socket (@sockets) { local $/; my $got = <$socket>; $right++ if $got eq sprintf("%04d", $at) x 1000; $at++ }
print "$right right\\n";`,
    port,
  );
  expect(output).toBe(`${CONNECTIONS} right`);
  expect(most).toBe(CONNECTIONS);
  expect(guest.devices.user?.flows.tcp).toBeLessThanOrEqual(1);
});

test("half-closes, resets, refusals and idle ends → what a real link shows", async () => {
  const sizes: number[] = [];
  const counting = await tcp((socket) => {
    let got = 0;
    socket.on("data", (bytes) => (got += bytes.length));
    socket.on("end", () => {
      sizes.push(got);
      socket.end(`${got} bytes`);
    });
  });
  const speaksFirst = await tcp((socket) => {
    socket.end("greeting");
    let got = "";
    socket.on("data", (bytes) => (got += String(bytes)));
    socket.on("end", () => sizes.push(got.length));
  });
  const resets = await tcp((socket) => void socket.once("data", () => socket.resetAndDestroy()));
  let seen: string | undefined;
  const watches = await tcp((socket) => {
    socket.on("data", () => undefined);
    socket.on("error", (error: NodeJS.ErrnoException) => (seen = error.code));
  });
  const nobody = await tcp(() => undefined);
  await new Promise((resolve) => servers.pop()?.close(resolve));
  await using guest = await VirtioGuest.restore(source, snapshot);
  const output = await perl(
    guest,
    `use Socket qw(SOL_SOCKET SO_LINGER); ${CALL}
my ($counting, $first, $resets, $watches, $nobody) = @ARGV;
my $s = call($counting); print $s "x" x 100000; $s->flush; shutdown $s, 1; print "half-closed here: ", <$s>, "\\n"; close $s;
$s = call($first); print "half-closed there: ", <$s>; print $s "still here"; close $s; print "\\n";
$s = call($resets); print $s "now"; $s->flush; my $n = sysread $s, my $bytes, 100; print "reset: ", defined $n ? $n : $! + 0, "\\n";
$s = call($watches); print $s "x"; $s->flush; setsockopt $s, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0); close $s;
$s = call($nobody); print "refused: ", $s ? 'connected' : $! + 0, "\\n";
`,
    counting,
    speaksFirst,
    resets,
    watches,
    nobody,
  );
  const [ECONNRESET, ECONNREFUSED] = [104, 111];
  expect(output.split("\n")).toEqual([
    "half-closed here: 100000 bytes",
    "half-closed there: greeting",
    `reset: ${ECONNRESET}`,
    `refused: ${ECONNREFUSED}`,
  ]);
  await expect.poll(() => seen, { timeout: 10_000 }).toBe("ECONNRESET");
  await expect.poll(() => sizes, { timeout: 10_000 }).toEqual([100_000, "still here".length]);
});

/** What the receiver got, in Mbit/s; the run must have come to its end. */
function received(report: string): number {
  const rate = /([\d.]+) Mbits\/sec +receiver/.exec(report)?.[1];
  expect(report).toContain("iperf Done.");
  return Number(rate);
}

/** Two guests of the same snapshot on one switch, the second with another MAC address, both with addresses. */
async function withPair(
  [first, second]: readonly [string, string],
  work: (a: VirtioGuest, b: VirtioGuest) => Promise<void>,
): Promise<void> {
  const lan = new Switch();
  await using a = await VirtioGuest.restore(source, first, { network: lan });
  await using b = await VirtioGuest.restore(source, second, { network: lan });
  await work(a, b);
  expect([...a.devices.faults, ...b.devices.faults]).toEqual([]);
}

test("two guests on a switch → they ping each other, iperf3 both ways, and go on from a snapshot taken amid it", async () => {
  const saved = [join(folder.path, "a"), join(folder.path, "b")] as const;
  await withPair([snapshot, snapshot], async (a, b) => {
    const ip = "/run/queztl/bin/ip";
    await b.sh(`${ip} link set eth0 down; ${ip} link set eth0 address 52:54:00:00:00:02`);
    for (const [guest, address] of [
      [a, "10.9.0.1"],
      [b, "10.9.0.2"],
    ] as const)
      await guest.sh(
        `${ip} addr flush dev eth0; ${ip} addr add ${address}/24 dev eth0; ${ip} link set eth0 up`,
      );
    expect(await a.sh("/run/queztl/busybox ping -c 3 -W 10 10.9.0.2")).toContain(" 0% packet loss");
    expect(await b.sh("/run/queztl/busybox ping -c 3 -W 10 10.9.0.1")).toContain(" 0% packet loss");

    await a.sh("iperf3 --server --daemon");
    const client = `iperf3 --client 10.9.0.1 --format m --time ${SECONDS}`;
    const there = received(await b.sh(client));
    const back = received(await b.sh(`${client} --reverse`));
    console.log(`iperf3 between two guests: ${there} and ${back} Mbit/s`);
    expect(Math.min(there, back)).toBeGreaterThan(0);

    // On a busy host the rate says nothing. What it takes does: large segments, none lost, no waiting for time-outs.
    const instructions = (): number =>
      a.machine.statistics.instructions + b.machine.statistics.instructions;
    const executed = instructions();
    const report = await b.sh("iperf3 --client 10.9.0.1 --format m --bytes 16M");
    expect(received(report)).toBeGreaterThan(0);
    const perMegabyte = (instructions() - executed) / 16e6;
    const [retransmitted] = /\d+(?= +sender)/.exec(report) ?? [];
    console.log(`a MiB: ${perMegabyte.toFixed(1)} M instructions; ${retransmitted} retransmitted`);
    expect(perMegabyte).toBeLessThan(25);
    expect(Number(retransmitted)).toBeLessThan(20);
    const [drops, frames] = [a, b]
      .map(({ devices }) => devices.net.counters)
      .reduce(
        ([lost, all], { droppedFrames, receivedFrames }) => [
          lost + droppedFrames,
          all + receivedFrames,
        ],
        [0, 0],
      );
    expect(drops).toBeLessThan(frames / 20);

    // By bytes, not by time, which jumps over the pause.
    const job = "iperf3 --client 10.9.0.1 --format m --bytes 16M >/tmp/report 2>&1";
    const { transmittedBytes: before } = b.devices.net.counters;
    b.agent.exec(["sh", "-c", job], {
      persist: "iperf3",
      stdin: "none",
    });
    await expect
      .poll(() => b.devices.net.counters.transmittedBytes - before, { timeout: 300_000 })
      .toBeGreaterThan(1_000_000);
    await Promise.all([a.save(saved[0]), b.save(saved[1])]);
  });
  await withPair(saved, async (a, b) => {
    await b.sh("while pidof iperf3 >/dev/null; do sleep 0.2; done");
    const after = received(await b.sh("cat /tmp/report"));
    console.log(`through a snapshot: ${after} Mbit/s`);
    expect(a.devices.net.counters.receivedBytes).toBeGreaterThan(1_000_000);
  });
});

test("restored amid a download through the NAT → the connection is reset at once, and the next works", async () => {
  let served = 0;
  const server = createServer((_, response) => {
    served++;
    // The first never comes to its end.
    if (served === 1) response.write(Buffer.alloc(100_000));
    else response.end("whole");
  });
  const url = `http://${GATEWAY}:${await listening(server)}/`;
  const place = join(folder.path, "download");
  {
    await using guest = await VirtioGuest.restore(source, snapshot);
    const wget = `/run/queztl/busybox wget -q -O /tmp/first ${url} 2>/tmp/error; echo $? >/tmp/status`;
    guest.agent.exec(["sh", "-c", wget], { persist: "wget", stdin: "none" });
    await expect
      .poll(() => guest.devices.net.counters.receivedBytes, { timeout: 120_000 })
      .toBeGreaterThan(100_000);
    await guest.save(place);
  }
  await using guest = await VirtioGuest.restore(source, place);
  // wget only listens: nothing but a reset ends it.
  await guest.sh("for i in $(seq 300); do [ -s /tmp/status ] && break; sleep 0.1; done");
  expect(await guest.sh("cat /tmp/status")).not.toBe("0");
  expect(await guest.sh("cat /tmp/error")).toMatch(/reset/i);
  expect(await guest.sh(`/run/queztl/busybox wget -q -O - ${url}`)).toBe("whole");
  expect(guest.devices.faults).toEqual([]);
});
