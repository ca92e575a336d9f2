import { VirtualClock } from "@queztl/memory";
import { describe, expect, it } from "vitest";
import { MockDriver, join, pattern } from "../testing/driver.ts";
import { checksum } from "./checksum.ts";
import { NetFeature } from "./config.ts";
import { NetDevice } from "./device.ts";
import { FramedStreamNetwork } from "./framed-stream.ts";
import type { ByteStream } from "./framed-stream.ts";
import { macAt, putMac } from "./link.ts";
import type { Frame, LostConnection, Network, NicEnd } from "./link.ts";
import { captured } from "./pcap.ts";
import { Switch } from "./switch.ts";

const MAC = "52:54:00:12:34:56";
const MAC_NUMBER = 0x5254_0012_3456;

/** A network that keeps what the NIC sends and lets a test send. */
class Wire implements Network {
  readonly sent: Frame[] = [];
  resets = 0;
  detached = 0;
  rooms = 0;
  open: readonly LostConnection[] = [];
  lost: readonly LostConnection[] = [];
  nic: NicEnd | undefined;
  attach(nic: NicEnd) {
    this.nic = nic;
    return {
      transmit: (frame: Frame) => void this.sent.push(frame),
      roomAvailable: () => void this.rooms++,
      reset: () => void this.resets++,
      detach: () => void this.detached++,
      connections: () => this.open,
      lost: (connections: readonly LostConnection[]) => {
        this.lost = connections;
        this.nic?.deliver({ bytes: frameTo(MAC_NUMBER) });
      },
    };
  }
}

function started(without = 1n << 29n, mac = MAC) {
  const wire = new Wire();
  const device = new NetDevice({ network: wire, mac });
  const driver = new MockDriver(device).start({ without });
  return { device, driver, wire };
}

function header(fields: {
  flags?: number;
  gso?: number;
  size?: number;
  start?: number;
  offset?: number;
}) {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  bytes[0] = fields.flags ?? 0;
  bytes[1] = fields.gso ?? 0;
  view.setUint16(4, fields.size ?? 0, true);
  view.setUint16(6, fields.start ?? 0, true);
  view.setUint16(8, fields.offset ?? 0, true);
  return bytes;
}

function frameTo(mac: number, length = 60): Uint8Array {
  const frame = pattern(length);
  putMac(frame, 0, mac);
  putMac(frame, 6, 0x5254_0000_0001);
  return frame;
}

/** An IPv4 TCP segment with `payload` bytes, its checksum left as the pseudo-header's sum. */
function tcpFrame(payload: number): Uint8Array {
  const frame = frameTo(MAC_NUMBER, 14 + 20 + 20 + payload);
  const view = new DataView(frame.buffer);
  view.setUint16(12, 0x0800);
  view.setUint16(14, 0x4500);
  view.setUint16(16, 40 + payload);
  view.setUint16(18, 77);
  view.setUint16(22, 0x4006);
  view.setUint16(24, 0);
  view.setUint32(38, 1000);
  view.setUint8(46, 0x50);
  view.setUint8(47, 0x19); // ACK, PSH, FIN
  view.setUint16(50, 0);
  return frame;
}

describe("transmitting", () => {
  it("a frame → the network, without its header", () => {
    const { device, driver, wire } = started();
    const frame = frameTo(1);
    driver.queue(1).send(header({}), frame);
    expect(wire.sent).toEqual([{ bytes: frame }]);
    expect(driver.queue(1).poll()).toHaveLength(1);
    expect(device.counters.transmittedBytes).toBe(60);
  });

  it("a large segment without checksum → handed on with what is left to do", () => {
    const { driver, wire } = started();
    const frame = tcpFrame(20_000);
    driver.queue(1).send(header({ flags: 1, gso: 1, size: 1460, start: 34, offset: 16 }), frame);
    expect(wire.sent[0]?.offload).toEqual({
      checksum: { start: 34, offset: 16 },
      segment: { ip: 4, payloadBytes: 1460 },
    });
  });

  it.each([
    ["a frame of 13 bytes", header({}), new Uint8Array(13), 0n],
    ["a frame longer than any", header({}), new Uint8Array(65535 + 19), 0n],
    ["a checksum past the end", header({ flags: 1, start: 59, offset: 16 }), frameTo(1), 0n],
    ["a segment without checksum", header({ gso: 1, size: 1000 }), tcpFrame(3000), 0n],
    [
      "a segment of UDP",
      header({ flags: 1, gso: 3, size: 1000, start: 34, offset: 6 }),
      tcpFrame(3000),
      0n,
    ],
    [
      "cuts of 1 byte",
      header({ flags: 1, gso: 1, size: 1, start: 34, offset: 16 }),
      tcpFrame(3000),
      0n,
    ],
    [
      "a checksum not agreed on",
      header({ flags: 1, start: 34, offset: 16 }),
      tcpFrame(9),
      NetFeature.Checksum | NetFeature.HostTso4 | NetFeature.HostTso6,
    ],
    [
      "a segment not agreed on",
      header({ flags: 1, gso: 1, size: 900, start: 34, offset: 16 }),
      tcpFrame(9000),
      NetFeature.HostTso4,
    ],
  ])("%s → dropped and counted", (_, head, frame, without) => {
    const { device, driver, wire } = started(without | (1n << 29n));
    driver.queue(1).send(head, frame);
    expect([wire.sent.length, device.counters.badFrames, driver.needsReset]).toEqual([0, 1, false]);
    expect(driver.queue(1).poll()).toHaveLength(1);
  });

  it("the cable is out → nothing is sent, the driver sees it", () => {
    const { device, driver, wire } = started();
    device.setLink(false);
    expect(driver.config(6, 2)).toBe(0);
    driver.queue(1).send(header({}), frameTo(1));
    expect(wire.sent).toEqual([]);
  });
});

describe("receiving", () => {
  it("a frame larger than a buffer → merged over several", () => {
    const { driver, wire } = started();
    for (let i = 0; i < 4; i++) driver.queue(0).send(1500);
    const frame = frameTo(MAC_NUMBER, 4000);
    wire.nic?.deliver({ bytes: frame });
    const parts = driver.queue(0).poll();
    expect(parts.map((part) => part.written)).toEqual([1500, 1500, 1012]);
    expect(parts[0]?.data[10]).toBe(3);
    const whole = join(parts.map((part) => part.data.subarray(0, part.written))).subarray(12);
    expect(Buffer.compare(whole, frame)).toBe(0);
  });

  it("no buffers yet → the frame waits, then comes whole", () => {
    const { driver, wire } = started();
    driver.queue(0).send(100);
    wire.nic?.deliver({ bytes: frameTo(MAC_NUMBER, 300) });
    expect(driver.queue(0).poll()).toEqual([]);
    driver.queue(0).send(400);
    expect(
      driver
        .queue(0)
        .poll()
        .map((c) => c.written),
    ).toEqual([100, 212]);
  });

  it("not mergeable and a frame too large for the buffer → dropped", () => {
    const { device, driver, wire } = started(NetFeature.MergeableBuffers | (1n << 29n));
    driver.queue(0).send(200);
    wire.nic?.deliver({ bytes: frameTo(MAC_NUMBER, 300) });
    wire.nic?.deliver({ bytes: frameTo(MAC_NUMBER, 100) });
    expect(
      driver
        .queue(0)
        .poll()
        .map((c) => c.written),
    ).toEqual([112]);
    expect(device.counters.droppedFrames).toBe(1);
  });

  it("a large segment for a guest that takes them → one frame with its header", () => {
    const { driver, wire } = started();
    driver.queue(0).send(30_000);
    const offload = {
      checksum: { start: 34, offset: 16 },
      segment: { ip: 4 as const, payloadBytes: 1460 },
    };
    wire.nic?.deliver({ bytes: tcpFrame(20_000), offload });
    const [got] = driver.queue(0).poll();
    const view = new DataView(got?.data.buffer ?? new ArrayBuffer(12));
    expect([0, 1].map((i) => got?.data[i])).toEqual([1, 1]);
    expect([2, 4, 6, 8].map((at) => view.getUint16(at, true))).toEqual([54, 1460, 34, 16]);
  });

  it("a large segment for a guest that does not → cut, with checksums and flags as on a wire", () => {
    const plain =
      NetFeature.GuestTso4 | NetFeature.GuestTso6 | NetFeature.GuestChecksum | (1n << 29n);
    const { driver, wire } = started(plain);
    for (let i = 0; i < 4; i++) driver.queue(0).send(2000);
    const bytes = tcpFrame(3000);
    const offload = {
      checksum: { start: 34, offset: 16 },
      segment: { ip: 4 as const, payloadBytes: 1460 },
    };
    wire.nic?.deliver({ bytes, offload });
    const frames = driver
      .queue(0)
      .poll()
      .map((c) => c.data.slice(12, c.written));
    expect(frames.map((frame) => frame.length - 54)).toEqual([1460, 1460, 80]);
    const views = frames.map((frame) => new DataView(frame.buffer));
    expect(views.map((view) => view.getUint32(38))).toEqual([1000, 2460, 3920]);
    expect(views.map((view) => view.getUint8(47))).toEqual([0x10, 0x10, 0x19]);
    expect(views.map((view) => view.getUint16(18))).toEqual([77, 78, 79]);
    for (const frame of frames) {
      expect(checksum(frame, 14, 34)).toBe(0);
      const pseudo = new Uint8Array(12);
      pseudo.set(frame.subarray(26, 34));
      pseudo.set([0, 6, (frame.length - 34) >> 8, (frame.length - 34) & 255], 8);
      expect(checksum(join([pseudo, frame.subarray(34)]), 0, frame.length - 34 + 12)).toBe(0);
    }
  });

  it("frames for others → only when promiscuous", () => {
    const { driver, wire } = started();
    driver.queue(0).send(500);
    wire.nic?.deliver({ bytes: frameTo(0x5254_0000_9999) });
    expect(driver.queue(0).poll()).toEqual([]);
    driver.queue(2).send(Uint8Array.of(0, 0), Uint8Array.of(1), 1);
    wire.nic?.deliver({ bytes: frameTo(0x5254_0000_9999) });
    expect(driver.queue(0).poll()).toHaveLength(1);
  });

  it("a guest that gives no buffers → a megabyte waits at most, and the network is told of room", () => {
    const { device, driver, wire } = started();
    let given = 0;
    for (; given < 10_000; given++) {
      if (!wire.nic?.hasRoom(MAC_NUMBER)) break;
      wire.nic.deliver({ bytes: frameTo(MAC_NUMBER, 1500) });
    }
    expect(given * 1500).toBeLessThanOrEqual(1024 * 1024 + 1500);
    wire.nic?.deliver({ bytes: frameTo(MAC_NUMBER, 1500) });
    expect(device.counters.droppedFrames).toBe(1);
    for (let i = 0; i < 20; i++) {
      while (driver.queue(0).room > 0) driver.queue(0).add(1512);
      driver.queue(0).notify();
      driver.queue(0).poll();
    }
    expect(wire.rooms).toBe(1);
  });

  it("a buffer without room for the header → DEVICE_NEEDS_RESET", () => {
    const { driver, wire } = started();
    driver.queue(0).send(8);
    wire.nic?.deliver({ bytes: frameTo(MAC_NUMBER) });
    expect(driver.needsReset).toBe(true);
  });
});

describe("the control queue", () => {
  const command = (driver: MockDriver, kind: number, code: number, ...data: number[]) => {
    driver.queue(2).send(Uint8Array.of(kind, code), Uint8Array.from(data), 1);
    return driver.queue(2).poll()[0]?.data[0];
  };

  it.each([
    ["promiscuous", [0, 0, 1], 0],
    ["an unknown class", [9, 0, 1], 1],
    ["an unknown receive mode", [0, 7, 1], 1],
    ["another MAC", [1, 1, 2, 0, 0, 0, 0, 1], 0],
    ["a MAC of 5 bytes", [1, 1, 2, 0, 0, 0, 0], 1],
    ["an empty filter", [1, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0],
    ["a filter shorter than it says", [1, 0, 9, 0, 0, 0, 0, 0, 0, 0], 1],
    ["offloads off", [5, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0],
    ["offloads not agreed on", [5, 0, 0, 0, 0, 0, 0, 0, 0, 255], 1],
  ])("%s → its result", (_, bytes, result) => {
    const { driver } = started();
    const [kind = 0, code = 0, ...data] = bytes;
    expect(command(driver, kind, code, ...data)).toBe(result);
  });

  it("no room for the result → DEVICE_NEEDS_RESET", () => {
    const { driver } = started();
    driver.queue(2).send(Uint8Array.of(0, 0, 1));
    expect(driver.needsReset).toBe(true);
  });
});

describe("features, reset, save", () => {
  it("segmentation without checksum → FEATURES_OK does not stay", () => {
    const { driver } = started();
    expect(driver.negotiate(NetFeature.HostTso4)).toBe(false);
    expect(driver.negotiate(NetFeature.GuestTso4)).toBe(false);
    expect(driver.negotiate(NetFeature.ControlRx)).toBe(false);
  });

  it("reset and unplug → the network is told once each", async () => {
    const { driver, wire } = started();
    driver.write(0x70, 0);
    driver.write(0x70, 0);
    expect([wire.resets, wire.detached]).toEqual([1, 0]);
    await driver.transport.control.close();
    expect(wire.detached).toBe(1);
  });

  it("saved and restored → filter, link and queues as before", () => {
    const first = started();
    first.driver.queue(2).send(Uint8Array.of(1, 1), Uint8Array.of(2, 0, 0, 0, 0, 9), 1);
    first.device.setLink(false);
    first.driver.queue(0).send(2000);
    const state = structuredClone(first.driver.transport.save());
    const second = started();
    const driver = new MockDriver(second.device, first.driver.memory);
    driver.transport.restore(state);
    driver.transport.control.resume();
    second.device.setLink(true);
    second.wire.nic?.deliver({ bytes: frameTo(0x0200_0000_0009) });
    expect(first.driver.queue(0).poll().at(0)?.written).toBe(72);
  });

  it("restored with connections → the network is told of them, and what it says waits for the guest to go on", () => {
    const first = started();
    const ports = { guestPort: 40000, remotePort: 80, sequence: 7 };
    first.wire.open = [{ mac: MAC_NUMBER, guest: 0x0a00_020f, remote: 0x0a00_0202, ...ports }];
    first.driver.queue(0).send(2000);
    const state = structuredClone(first.driver.transport.save());
    const second = started();
    const driver = new MockDriver(second.device, first.driver.memory);
    driver.transport.restore(state);
    expect(second.wire.lost).toEqual(first.wire.open);
    expect(first.driver.queue(0).poll()).toEqual([]);
    driver.transport.control.resume();
    expect(first.driver.queue(0).poll().at(0)?.written).toBe(72);
  });

  it("a state that is none → QZ_VIRTIO_STATE", () => {
    const { device } = started();
    const state = device.save();
    for (const bad of [
      { ...state, version: 7 },
      { ...state, filter: null },
      { ...state, filter: { ...state.filter, table: [1.5] } },
      { ...state, connections: [{}] },
      { ...state, connections: Array.from({ length: 5000 }, () => ({})) },
    ])
      expect(() => device.restore(bad as typeof state)).toThrow(
        expect.objectContaining({ code: "QZ_VIRTIO_STATE" }),
      );
  });

  it.each(["52:54:00", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00", "5x:54:00:12:34:56"])(
    "the MAC %s → QZ_VIRTIO_OPTIONS",
    (mac) => {
      expect(() => started(0n, mac)).toThrow(
        expect.objectContaining({ code: "QZ_VIRTIO_OPTIONS" }),
      );
    },
  );
});

describe("Switch", () => {
  it("two NICs → flooded until the addresses are learnt, then only where they are", () => {
    const net = new Switch();
    const seen: string[] = [];
    const port = (name: string) =>
      net.attach({ deliver: () => void seen.push(name), hasRoom: () => true });
    const [a, b, c] = [port("a"), port("b"), port("c")];
    const frame = (from: number, to: number) => {
      const bytes = frameTo(to);
      putMac(bytes, 6, from);
      return { bytes };
    };
    a.transmit(frame(0x02_0a, 0x02_0b));
    b.transmit(frame(0x02_0b, 0x02_0a));
    a.transmit(frame(0x02_0a, 0x02_0b));
    expect(seen).toEqual(["b", "c", "a", "b"]);
    b.detach();
    a.transmit(frame(0x02_0a, 0x02_0b));
    expect(seen.slice(4)).toEqual(["c"]);
    c.transmit(frame(0x02_0c, 0xffff_ffff_ffff));
    expect(seen.slice(5)).toEqual(["a"]);
  });

  it("an uplink → its frames and the NICs' meet", () => {
    const net = new Switch();
    const wire = new Wire();
    const leave = net.uplink(wire);
    const seen: number[] = [];
    const nic = net.attach({
      deliver: ({ bytes }) => void seen.push(macAt(bytes, 0)),
      hasRoom: () => false,
    });
    const bytes = frameTo(0x5255_0a00_0202);
    nic.transmit({ bytes });
    expect(wire.sent).toHaveLength(1);
    const answer = frameTo(macAt(bytes, 6));
    putMac(answer, 6, 0x5255_0a00_0202);
    wire.nic?.deliver({ bytes: answer });
    expect(seen).toEqual([macAt(bytes, 6)]);
    expect(wire.nic?.hasRoom(macAt(bytes, 6))).toBe(false);
    nic.roomAvailable();
    expect(wire.rooms).toBe(1);
    leave();
    expect(wire.detached).toBe(1);
  });

  it("two devices on it with unlike offloads → the plain one gets plain frames", () => {
    const net = new Switch();
    const a = new NetDevice({ network: net, mac: "52:54:00:00:00:01" });
    const b = new NetDevice({ network: net, mac: MAC });
    const able = new MockDriver(a).start();
    const plain = new MockDriver(b).start({
      without: NetFeature.GuestChecksum | NetFeature.GuestTso4 | NetFeature.GuestTso6 | (1n << 29n),
    });
    for (let i = 0; i < 8; i++) plain.queue(0).send(2000);
    able
      .queue(1)
      .send(header({ flags: 1, gso: 1, size: 1460, start: 34, offset: 16 }), tcpFrame(4000));
    expect(
      plain
        .queue(0)
        .poll()
        .map((c) => c.written),
    ).toEqual([1526, 1526, 1146]);
  });
});

describe("captured", () => {
  it("frames both ways → a pcap file with their times, not more than it may hold", () => {
    const clock = new VirtualClock(1_700_000_000_000);
    const parts: Uint8Array[] = [];
    const wire = new Wire();
    const network = captured(wire, {
      clock,
      write: (bytes) => void parts.push(bytes),
      snapLength: 100,
      maxBytes: 24 + 16 + 60 + 16 + 100,
    });
    const end = network.attach({ deliver: () => {}, hasRoom: () => true });
    end.transmit({ bytes: frameTo(1) });
    clock.advanceTo(1_500_000);
    wire.nic?.deliver({ bytes: frameTo(2, 200) });
    wire.nic?.deliver({ bytes: frameTo(3, 200) });
    const file = join(parts);
    const view = new DataView(file.buffer);
    expect(file.length).toBe(216);
    expect([0, 20, 24, 28, 32, 36].map((at) => view.getUint32(at, true))).toEqual([
      0xa1b23c4d, 1, 1_700_000_000, 0, 60, 60,
    ]);
    expect([100, 104, 108, 112].map((at) => view.getUint32(at, true))).toEqual([
      1_700_000_000, 1_500_000, 100, 200,
    ]);
  });
});

describe("FramedStreamNetwork", () => {
  class Pipe implements ByteStream {
    readonly written: Uint8Array[] = [];
    takes = true;
    closed = false;
    events: Parameters<ByteStream["listen"]>[0] | undefined;
    write(bytes: Uint8Array): boolean {
      this.written.push(bytes);
      return this.takes;
    }
    listen(events: Parameters<ByteStream["listen"]>[0]): void {
      this.events = events;
    }
    close(): void {
      this.closed = true;
    }
  }

  function joined() {
    const pipe = new Pipe();
    const errors: unknown[] = [];
    const network = new FramedStreamNetwork(pipe, (error) => errors.push(error));
    const delivered: Uint8Array[] = [];
    const end = network.attach({
      deliver: ({ bytes }) => void delivered.push(bytes),
      hasRoom: () => true,
    });
    return { delivered, end, errors, network, pipe };
  }

  it("a frame → its length in four bytes, then the frame", () => {
    const { end, pipe } = joined();
    const bytes = frameTo(1);
    end.transmit({ bytes });
    expect(join(pipe.written)).toEqual(join([Uint8Array.of(0, 0, 0, 60), bytes]));
  });

  it("frames in any pieces → whole frames", () => {
    const { delivered, pipe } = joined();
    const stream = join([
      Uint8Array.of(0, 0, 0, 60),
      frameTo(1),
      Uint8Array.of(0, 0, 0, 14),
      frameTo(2, 14),
    ]);
    for (const byte of stream) pipe.events?.data(Uint8Array.of(byte));
    expect(delivered.map((frame) => frame.length)).toEqual([60, 14]);
    expect(delivered[1]).toEqual(frameTo(2, 14));
  });

  it.each([13, 65535 + 19, 0xffffffff])(
    "a length of %i → the stream is closed, coded error",
    (length) => {
      const { errors, pipe } = joined();
      const prefix = new Uint8Array(4);
      new DataView(prefix.buffer).setUint32(0, length);
      pipe.events?.data(prefix);
      expect(pipe.closed).toBe(true);
      expect(errors).toMatchObject([{ code: "QZ_VIRTIO_NET_FRAME" }]);
    },
  );

  it("a stream that has enough → frames are dropped until it drains", () => {
    const { end, network, pipe } = joined();
    pipe.takes = false;
    end.transmit({ bytes: frameTo(1) });
    end.transmit({ bytes: frameTo(1) });
    expect([pipe.written.length, network.counters.droppedFrames]).toEqual([1, 1]);
    pipe.events?.drain();
    end.transmit({ bytes: frameTo(1) });
    expect(pipe.written).toHaveLength(2);
  });
});
