import { GuestMemory } from "@queztl/memory";
import { describe, expect, it } from "vitest";
import { EchoDevice } from "../testing/echo-device.ts";
import { PciTransport } from "./pci.ts";

function plugged(options: { msix?: boolean } = {}) {
  const memory = new GuestMemory({ ramBytes: 1024 * 1024 });
  const device = new EchoDevice();
  const faults: Error[] = [];
  const transport = new PciTransport({ memory, device, onFault: (error) => faults.push(error) });
  const vectors: number[] = [];
  const line = { level: false, set: (asserted: boolean) => void (line.level = asserted) };
  transport.description.connect({
    msixEnabled: options.msix ?? true,
    notify: (vector) => vectors.push(vector),
    line,
  });
  const bar = transport.description.bars[0]?.handler;
  if (!bar) throw new Error("no BAR");
  return { bar, device, faults, line, memory, transport, vectors };
}
type Plugged = ReturnType<typeof plugged>;

/** As Linux's modern driver: features, one queue of 8 with vector 1, vector 0 for configuration. */
function drive({ bar, transport }: Plugged): void {
  bar.write(0x14, 1, 1);
  bar.write(0x14, 1, 3);
  for (const half of [0, 1]) {
    bar.write(0x08, 4, half);
    bar.write(0x0c, 4, half);
  }
  bar.write(0x14, 1, 11);
  bar.write(0x10, 2, 0);
  bar.write(0x16, 2, 0);
  bar.write(0x18, 2, 8);
  bar.write(0x1a, 2, 1);
  [0x10000, 0, 0x11000, 0, 0x12000, 0].forEach((half, i) => bar.write(0x20 + 4 * i, 4, half));
  bar.write(0x1c, 2, 1);
  bar.write(0x14, 1, 15);
  expect(transport.control.status).toBe(15);
}

/** A request of 4 bytes with room for 4, at descriptors 0 and 1. */
function request({ bar, memory, transport }: Plugged): void {
  memory.writeUint64(0x10000, 0x20000n);
  memory.writeUint64(0x10008, 0x0001_0001_0000_0004n);
  memory.writeUint64(0x10010, 0x20100n);
  memory.writeUint64(0x10018, 0x0000_0002_0000_0004n);
  const index = memory.readUint16(0x11002);
  memory.writeUint16(0x11004 + 2 * (index & 7), 0);
  memory.writeUint16(0x11002, index + 1);
  bar.write(transport.notifyOffset(0), 2, 0);
}

describe("what the PCI host sees", () => {
  it("a device of type 42 → vendor 1af4, device 1040 + 42, a vector per queue and one more", () => {
    const { description } = plugged().transport;
    expect([description.vendorId, description.deviceId, description.msixVectors]).toEqual([
      0x1af4, 0x106a, 3,
    ]);
    const types = description.capabilities.map((c) => [c.id, c.body[1], c.body[0]]);
    expect(types).toEqual([
      [9, 1, 16],
      [9, 2, 20],
      [9, 3, 16],
      [9, 4, 16],
      [9, 5, 20],
    ]);
  });

  it("every structure lies inside its BAR", () => {
    const { description } = plugged().transport;
    for (const { body } of description.capabilities.slice(0, 4)) {
      const view = new DataView(body.buffer);
      const end = view.getUint32(6, true) + view.getUint32(10, true);
      expect(end).toBeLessThanOrEqual(description.bars[0]?.bytes ?? 0);
    }
  });
});

describe("a modern driver", () => {
  it("a request → answered, the queue's MSI-X vector", () => {
    const p = plugged();
    drive(p);
    p.memory.writeUint32(0x20000, 0xfeedface);
    request(p);
    expect(p.memory.readUint32(0x20100)).toBe(0xfeedface);
    expect(p.vectors).toEqual([1]);
  });

  it("no MSI-X → interrupt status and the pin, both cleared by reading", () => {
    const p = plugged({ msix: false });
    drive(p);
    request(p);
    expect(p.line.level).toBe(true);
    p.device.config.changed();
    expect(p.bar.read(0x1000, 1)).toBe(3);
    expect(p.line.level).toBe(false);
    expect(p.bar.read(0x1000, 1)).toBe(0);
  });

  it("a vector the device does not have → reads back as none, no interrupt", () => {
    const p = plugged();
    drive(p);
    p.bar.write(0x1a, 2, 3);
    expect(p.bar.read(0x1a, 2)).toBe(0xffff);
    request(p);
    expect(p.vectors).toEqual([]);
  });

  it("a field read byte by byte, or written with the wrong width → parts; nothing", () => {
    const { bar } = plugged();
    bar.write(0x00, 4, 1);
    expect([bar.read(0x04, 4), bar.read(0x04, 1), bar.read(0x05, 1)]).toEqual([1, 1, 0]);
    bar.write(0x16, 1, 1);
    expect(bar.read(0x16, 2)).toBe(0);
    expect(bar.read(0x3e, 2)).toBe(0);
  });

  it("a queue that does not exist → size 0", () => {
    const { bar } = plugged();
    bar.write(0x16, 2, 9);
    expect([bar.read(0x18, 2), bar.read(0x1c, 2), bar.read(0x20, 4)]).toEqual([0, 0, 0]);
  });

  it("the configuration access window → reaches the BAR without mapping it", () => {
    const { transport, bar } = plugged();
    const access = transport.description.capabilities.at(-1)?.access;
    access?.write(2, 1, 0);
    access?.write(6, 4, 0x14);
    access?.write(10, 4, 1);
    access?.write(14, 1, 1);
    expect(bar.read(0x14, 1)).toBe(1);
    expect(access?.read(14, 1)).toBe(1);
    access?.write(6, 4, 0x4000);
    expect(access?.read(14, 1)).toBe(0);
    access?.write(2, 1, 3);
    expect(access?.read(14, 1)).toBe(0);
  });

  it("bus reset → everything back", () => {
    const p = plugged();
    drive(p);
    p.transport.description.reset();
    expect([p.transport.control.status, p.bar.read(0x10, 2)]).toEqual([0, 0xffff]);
  });

  it("saved and restored → vectors, selectors and queues as before", () => {
    const first = plugged();
    drive(first);
    const second = plugged();
    second.transport.restore(structuredClone(first.transport.save()));
    expect(second.transport.save()).toEqual(first.transport.save());
    expect(() => second.transport.restore({ ...first.transport.save(), version: 3 as 1 })).toThrow(
      /version 3/,
    );
  });
});
