import { VirtualClock } from "@queztl/memory";
import { describe, expect, it } from "vitest";
import { MockDriver, join, pattern } from "../testing/driver.ts";
import { Operation, formatPacketHeader, parsePacketHeader } from "./config.ts";
import type { PacketHeader } from "./config.ts";
import { VsockDevice } from "./device.ts";
import { SOCKET_BYTES } from "./socket.ts";
import type { VsockSocket } from "./socket.ts";

const CID = 7;

function started(options: { maxConnections?: number } = {}) {
  const clock = new VirtualClock();
  const device = new VsockDevice({ cid: CID, clock, ...options });
  const driver = new MockDriver(device).start();
  return { clock, device, driver };
}

/** The guest's side: sends packets, gives buffers, and reads what came. */
class Guest {
  readonly #driver: MockDriver;
  readonly fields = { bufferBytes: 65536, forwarded: 0 };
  constructor(driver: MockDriver) {
    this.#driver = driver;
  }
  buffers(count: number, bytes = 4096): void {
    for (let i = 0; i < count; i++) this.#driver.queue(0).send(bytes);
  }
  send(
    operation: number,
    ports: [number, number],
    more: Partial<PacketHeader> = {},
    data = new Uint8Array(0),
  ) {
    const header = formatPacketHeader({
      sourceCid: CID,
      targetCid: 2,
      sourcePort: ports[0],
      targetPort: ports[1],
      length: data.length,
      type: 1,
      operation,
      flags: 0,
      ...this.fields,
      ...more,
    });
    if (data.length > 0) this.#driver.queue(1).send(header, data);
    else this.#driver.queue(1).send(header);
    this.#driver.queue(1).poll();
  }
  packets(): { header: PacketHeader; data: Uint8Array }[] {
    return this.#driver
      .queue(0)
      .poll()
      .map(({ data, written }) => ({
        header: parsePacketHeader(data),
        data: data.slice(44, written),
      }));
  }
  operations(): number[] {
    return this.packets().map(({ header }) => header.operation);
  }
}

function connected(options: { maxConnections?: number } = {}) {
  const made = started(options);
  const guest = new Guest(made.driver);
  const sockets: VsockSocket[] = [];
  made.device.listen(1024, (socket) => sockets.push(socket));
  guest.buffers(4);
  guest.send(Operation.Request, [50, 1024]);
  const socket = sockets[0] as VsockSocket;
  expect(guest.operations()).toEqual([Operation.Response]);
  return { ...made, guest, socket, sockets };
}

describe("connections of the guest", () => {
  it("to a port where the host listens → RESPONSE with credit; bytes both ways", () => {
    const { guest, socket } = connected();
    const got: Uint8Array[] = [];
    socket.listen({ data: (bytes) => void got.push(bytes) });
    guest.send(Operation.Data, [50, 1024], {}, pattern(3000));
    expect(Buffer.compare(join(got), pattern(3000))).toBe(0);
    socket.write(pattern(10_000, 3));
    guest.buffers(4);
    const packets = guest.packets();
    expect(packets.every(({ header }) => header.operation === Operation.Data)).toBe(true);
    expect(Buffer.compare(join(packets.map((p) => p.data)), pattern(10_000, 3))).toBe(0);
    expect(packets.at(-1)?.header).toMatchObject({
      sourceCid: 2,
      targetCid: CID,
      bufferBytes: SOCKET_BYTES,
      forwarded: 3000,
    });
  });

  it("to a port where nobody listens → RST", () => {
    const { device, driver } = started();
    const guest = new Guest(driver);
    guest.buffers(1);
    guest.send(Operation.Request, [50, 9]);
    expect(guest.operations()).toEqual([Operation.Reset]);
    expect(device.counters.refused).toBe(1);
  });

  it.each([
    ["data of no connection", Operation.Data, {}],
    ["another guest's address", Operation.Request, { sourceCid: 8 }],
    ["another host's address", Operation.Request, { targetCid: 3 }],
    ["datagrams", Operation.Request, { type: 3 }],
  ])("%s → RST", (_, operation, more) => {
    const { device, driver } = started();
    device.listen(1024, () => expect.unreachable());
    const guest = new Guest(driver);
    guest.buffers(1);
    guest.send(operation, [50, 1024], more);
    expect(guest.operations()).toEqual([Operation.Reset]);
  });

  it("RST of no connection → no answer", () => {
    const { driver } = started();
    const guest = new Guest(driver);
    guest.buffers(1);
    guest.send(Operation.Reset, [50, 1024]);
    expect(guest.operations()).toEqual([]);
  });
});

describe("dialling the guest", () => {
  it("the guest answers → the socket", async () => {
    const { device, driver } = started();
    const guest = new Guest(driver);
    const dialled = device.connect(22);
    guest.buffers(2);
    const [request] = guest.packets();
    expect(request?.header).toMatchObject({ operation: Operation.Request, targetPort: 22 });
    guest.send(Operation.Response, [22, request?.header.sourcePort ?? 0]);
    const socket = await dialled;
    socket.write(Uint8Array.of(1, 2));
    expect(guest.packets()[0]?.data).toEqual(Uint8Array.of(1, 2));
  });

  it("the guest refuses → QZ_VIRTIO_VSOCK_REFUSED", async () => {
    const { device, driver } = started();
    const guest = new Guest(driver);
    guest.buffers(1);
    const dialled = device.connect(22);
    guest.send(Operation.Reset, [22, guest.packets()[0]?.header.sourcePort ?? 0]);
    await expect(dialled).rejects.toMatchObject({ code: "QZ_VIRTIO_VSOCK_REFUSED" });
  });

  it("the guest is silent → QZ_VIRTIO_VSOCK_TIMEOUT after 10 s of guest time", async () => {
    const { clock, device } = started();
    const dialled = device.connect(22);
    clock.advanceTo(10e9);
    await expect(dialled).rejects.toMatchObject({ code: "QZ_VIRTIO_VSOCK_TIMEOUT" });
  });

  it("dialled before the driver is there → asked when it is", () => {
    const clock = new VirtualClock();
    const device = new VsockDevice({ cid: CID, clock });
    const dialled = device.connect(22);
    dialled.catch(() => {});
    const driver = new MockDriver(device).start();
    const guest = new Guest(driver);
    guest.buffers(1);
    expect(guest.operations()).toEqual([Operation.Request]);
  });
});

describe("credit", () => {
  it("the guest's buffer is full → the host's bytes wait for its credit", () => {
    const { guest, socket } = connected();
    guest.fields.bufferBytes = 1000;
    guest.send(Operation.CreditUpdate, [50, 1024]);
    expect(socket.write(pattern(3000))).toBe(true);
    guest.buffers(4);
    expect(guest.packets().map((p) => p.data.length)).toEqual([1000]);
    guest.fields.forwarded = 600;
    guest.send(Operation.CreditUpdate, [50, 1024]);
    expect(guest.packets().map((p) => p.data.length)).toEqual([600]);
  });

  it("the host's owner does not read → the guest gets no more credit; reading gives it back", () => {
    const { guest, socket } = connected();
    let got = 0;
    let takes = false;
    socket.listen({
      data: (bytes) => {
        got += bytes.length;
        return takes;
      },
    });
    for (let i = 0; i < 4; i++) guest.send(Operation.Data, [50, 1024], {}, pattern(60_000));
    expect(got).toBe(60_000);
    guest.send(Operation.CreditRequest, [50, 1024]);
    expect(guest.packets()[0]?.header.forwarded).toBe(60_000);
    takes = true;
    socket.resume();
    expect(got).toBe(240_000);
    expect(guest.packets()[0]?.header).toMatchObject({
      operation: Operation.CreditUpdate,
      forwarded: 240_000,
    });
  });

  it("the guest sends more than its credit → RST, bounded memory", () => {
    const { guest, socket } = connected();
    for (let i = 0; i < 5; i++) guest.send(Operation.Data, [50, 1024], {}, pattern(60_000));
    expect(guest.operations()).toEqual([Operation.Reset]);
    expect(() => socket.write(Uint8Array.of(1))).toThrow(/closed/);
  });

  it("the host writes without end → write says false, then drained", () => {
    const { guest, socket } = connected();
    let drained = 0;
    socket.listen({ drained: () => void drained++ });
    guest.fields.bufferBytes = 1e9;
    expect(socket.write(new Uint8Array(SOCKET_BYTES))).toBe(false);
    guest.send(Operation.CreditUpdate, [50, 1024]);
    guest.buffers(40, 20_000);
    expect(drained).toBe(1);
  });
});

describe("closing", () => {
  it("the guest sends no more → ended after its bytes; the host still can", () => {
    const { guest, socket } = connected();
    const log: string[] = [];
    guest.send(Operation.Data, [50, 1024], {}, pattern(5));
    guest.send(Operation.Shutdown, [50, 1024], { flags: 2 });
    socket.listen({
      data: (b) => void log.push(`data ${b.length}`),
      ended: () => void log.push("ended"),
    });
    expect(log).toEqual(["data 5", "ended"]);
    socket.write(Uint8Array.of(1));
    socket.end();
    const packets = guest.packets();
    expect(packets.map((p) => [p.header.operation, p.header.flags])).toEqual([
      [Operation.Data, 0],
      [Operation.Shutdown, 3],
    ]);
  });

  it("the host ends → SHUTDOWN after its bytes", () => {
    const { guest, socket } = connected();
    guest.fields.bufferBytes = 0;
    guest.send(Operation.CreditUpdate, [50, 1024]);
    socket.write(pattern(10));
    socket.end();
    expect(guest.operations()).toEqual([]);
    guest.fields.bufferBytes = 100;
    guest.send(Operation.CreditUpdate, [50, 1024]);
    expect(guest.operations()).toEqual([Operation.Data, Operation.Shutdown]);
  });

  it("the guest closes both ways → RST and closed", () => {
    const { guest, socket } = connected();
    let closed = 0;
    socket.listen({ closed: () => void closed++ });
    guest.send(Operation.Shutdown, [50, 1024], { flags: 3 });
    expect([guest.operations(), closed]).toEqual([[Operation.Reset], 1]);
  });
});

describe("a hostile driver", () => {
  it.each([
    ["a packet shorter than its header", (d: MockDriver) => d.queue(1).send(new Uint8Array(20))],
    [
      "a length beyond the buffers",
      (d: MockDriver) => {
        const header = new Uint8Array(44);
        new DataView(header.buffer).setUint32(24, 5000, true);
        return d.queue(1).send(header);
      },
    ],
  ])("%s → DEVICE_NEEDS_RESET", (_, send) => {
    const { driver } = started();
    send(driver);
    expect(driver.needsReset).toBe(true);
  });

  it("a receive buffer without room for a header → DEVICE_NEEDS_RESET", () => {
    const { driver } = started();
    const guest = new Guest(driver);
    guest.buffers(1, 40);
    guest.send(Operation.Request, [1, 1]);
    expect(driver.needsReset).toBe(true);
  });

  it("requests without end and no buffers for the answers → its requests wait", () => {
    const { driver } = started();
    let taken = 0;
    for (let i = 0; i < 2000 && driver.queue(1).room > 0; i++) {
      new Guest(driver).send(Operation.Request, [i, 9]);
      taken++;
    }
    expect(taken).toBeLessThan(256 + 64 + 8);
    expect(driver.needsReset).toBe(false);
  });

  it("more connections than allowed → refused", () => {
    const { guest, sockets } = connected({ maxConnections: 2 });
    guest.buffers(8);
    for (let i = 0; i < 4; i++) guest.send(Operation.Request, [100 + i, 1024]);
    expect(sockets).toHaveLength(2);
    expect(guest.operations().filter((op) => op === Operation.Reset)).toHaveLength(3);
  });
});

describe("reset and restore", () => {
  it("reset → every socket is closed", () => {
    const { driver, socket } = connected();
    let closed = 0;
    socket.listen({ closed: () => void closed++ });
    driver.write(0x70, 0);
    expect(closed).toBe(1);
  });

  it("restored → TRANSPORT_RESET, and the new address in the configuration", () => {
    const { driver } = connected();
    driver.queue(2).send(8);
    const state = structuredClone(driver.transport.save());
    const device = new VsockDevice({ cid: 99, clock: new VirtualClock() });
    const second = new MockDriver(device, driver.memory);
    second.transport.restore(state);
    second.transport.control.resume();
    const [event] = driver.queue(2).poll();
    expect([event?.written, event?.data[0], second.config(0, 4)]).toEqual([4, 0, 99]);
  });

  it.each([0, 2, 2 ** 32 - 1, 3.5])("the address %d → QZ_VIRTIO_OPTIONS", (cid) => {
    expect(() => new VsockDevice({ cid, clock: new VirtualClock() })).toThrow(/cid/);
  });
});
