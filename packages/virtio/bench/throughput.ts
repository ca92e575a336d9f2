/**
 * How fast the devices are without a guest: the mock driver keeps the rings full. Run with
 * `node --conditions=@queztl/source bench/throughput.ts`. Numbers of one run only; ratios between systems are
 * measured by the repository's `benchmarks`.
 */
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GuestMemory, VirtualClock } from "@queztl/memory";
import { BlockDevice, ConsoleDevice, RawDisk, UserNetwork } from "../src/index.ts";
import { NodeFile, nodeSockets } from "../src/node/index.ts";
import { MockDriver, pattern, turn } from "../src/testing/driver.ts";

const MIB = 1024 * 1024;

function report(name: string, bytes: number, count: number, started: number): void {
  const seconds = (performance.now() - started) / 1000;
  const rate = (bytes / MIB / seconds).toFixed(0).padStart(6);
  const each = (count / seconds).toFixed(0).padStart(8);
  console.log(`${name.padEnd(34)} ${rate} MiB/s ${each} requests/s`);
}

async function block(kind: "read" | "write", size: number, total: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "queztl-bench-"));
  const file = await NodeFile.open(join(folder, "disk"), { create: { size: 256 * MIB } });
  const device = new BlockDevice({ backend: await RawDisk.open(file) });
  const driver = new MockDriver(device, new GuestMemory({ ramBytes: 128 * MIB })).start({
    size: 128,
  });
  const queue = driver.queue(0);
  const count = total / size;
  const header = new Uint8Array(16);
  const view = new DataView(header.buffer);
  view.setUint32(0, kind === "read" ? 0 : 1, true);
  const data = pattern(size);
  let sent = 0;
  let done = 0;
  const started = performance.now();
  while (done < count) {
    for (; sent < count && sent - done < 32; sent++) {
      view.setBigUint64(8, BigInt(((sent * size) % (256 * MIB)) / 512), true);
      if (kind === "read") queue.add(header, size, 1);
      else queue.add(header, data, 1);
    }
    queue.notify();
    await turn();
    done += queue.poll().length;
  }
  report(`block ${kind} ${size / 1024} KiB`, total, count, started);
  await driver.transport.control.close();
  rmSync(folder, { recursive: true });
}

function consoleOutput(): void {
  const total = 256 * MIB;
  const size = 4096;
  const device = new ConsoleDevice({ ports: [{ name: "tty", onOutput: () => {} }] });
  const driver = new MockDriver(device).start();
  const queue = driver.queue(1);
  const data = pattern(size);
  const started = performance.now();
  for (let done = 0; done < total / size;) {
    while (queue.room > 0) queue.add(data);
    queue.notify();
    done += queue.poll().length;
  }
  report("console output 4 KiB", total, total / size, started);
}

/** TCP from the host to a guest that acknowledges at once, in segments of 64 KiB. */
async function download(total: number): Promise<void> {
  const chunk = Buffer.alloc(65536, 7);
  const server = createServer((socket) => {
    let written = 0;
    const more = (): void => {
      while (written < total) {
        written += chunk.length;
        if (!socket.write(chunk)) return;
      }
      socket.end();
    };
    socket.on("error", () => {});
    socket.on("drain", more);
    more();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const network = await UserNetwork.open({
    clock: new VirtualClock(),
    sockets: nodeSockets(),
    access: { allow: ["127.0.0.1"] },
  });
  const { port } = server.address() as AddressInfo;
  const segment = new Uint8Array(66);
  const view = new DataView(segment.buffer);
  segment.set([0x52, 0x55, 0x0a, 0, 2, 2, 0x52, 0x54, 0, 0, 0, 1, 8, 0, 0x45]);
  segment.set([64, 6], 22);
  segment.set([10, 0, 2, 15, 10, 0, 2, 2], 26);
  let frames = 0;
  let bytes = 0;
  let ended = false;
  const waiting: Uint8Array[] = [];
  const end = network.attach({
    deliver: (frame) => void waiting.push(frame.bytes),
    hasRoom: () => true,
  });
  const send = (flags: number, sequence: number, acknowledged: number, options: number[]): void => {
    view.setUint16(16, 40 + options.length);
    view.setUint16(34, 40_000);
    view.setUint16(36, port);
    view.setUint32(38, sequence);
    view.setUint32(42, acknowledged);
    segment.set([(5 + options.length / 4) << 4, flags, 0xff, 0xff], 46);
    segment.set(options, 54);
    end.transmit({ bytes: segment.slice(0, 54 + options.length) });
  };
  const started = performance.now();
  send(2, 1, 0, [2, 4, 5, 0xb4, 3, 3, 7, 1]);
  while (!ended) {
    await turn();
    for (const frame of waiting.splice(0)) {
      const got = new DataView(frame.buffer, frame.byteOffset);
      if (got.getUint16(12) !== 0x0800) continue;
      const flags = frame[47] as number;
      const payload = frame.length - 34 - ((frame[46] as number) >> 4) * 4;
      ended ||= (flags & 1) !== 0;
      frames++;
      bytes += payload;
      send(16, 2, (got.getUint32(38) + payload + (flags & 3 ? 1 : 0)) >>> 0, []);
    }
  }
  report("NAT, TCP from the host", bytes, frames, started);
  network.close();
  server.close();
}

for (const kind of ["write", "read"] as const) {
  await block(kind, 4096, 64 * MIB);
  await block(kind, 256 * 1024, 1024 * MIB);
}
consoleOutput();
await download(1024 * MIB);
