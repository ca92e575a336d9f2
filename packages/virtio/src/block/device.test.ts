import { VirtualClock } from "@queztl/memory";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MockDriver, join, pattern, turn, until } from "../testing/driver.ts";
import type { BlockBackend } from "./backend.ts";
import { BlockFeature, RequestType } from "./config.ts";
import { BlockDevice } from "./device.ts";
import type { BlockDeviceOptions } from "./device.ts";
import { MemoryFile } from "./memory-file.ts";
import { RawDisk } from "./raw-disk.ts";
import { bytesOf, joined } from "./vector.ts";

const MIB = 1024 * 1024;

/** A backend whose calls can be held up and made to fail, and that records them. */
class ProbedDisk implements BlockBackend {
  readonly capacity = MIB;
  readOnly = false;
  readonly log: string[] = [];
  failing = false;
  readonly bytes = new Uint8Array(MIB);
  #gate: Promise<void> | undefined;
  #open: () => void = () => {};

  hold(): void {
    this.#gate = new Promise((resolve) => (this.#open = resolve));
  }
  release(): void {
    this.#gate = undefined;
    this.#open();
  }
  protected async pass(name: string): Promise<void> {
    this.log.push(name);
    await this.#gate;
    if (this.failing) throw new Error("the host's disk is gone");
  }
  async read(offset: number, target: Uint8Array): Promise<void> {
    await this.pass(`read ${offset}+${target.length}`);
    target.set(this.bytes.subarray(offset, offset + target.length));
  }
  async write(offset: number, source: Uint8Array): Promise<void> {
    await this.pass(`write ${offset}+${source.length}`);
    this.bytes.set(source, offset);
  }
  flush(): Promise<void> {
    return this.pass("flush");
  }
  discard(offset: number, length: number): Promise<void> {
    return this.pass(`discard ${offset}+${length}`);
  }
  async writeZeroes(offset: number, length: number, unmap: boolean): Promise<void> {
    await this.pass(`zero ${offset}+${length}${unmap ? " unmap" : ""}`);
    this.bytes.fill(0, offset, offset + length);
  }
  close(): Promise<void> {
    return this.pass("close");
  }
}

/** A disk that also takes several buffers at once. */
class VectorDisk extends ProbedDisk {
  async readVector(offset: number, targets: readonly Uint8Array[]): Promise<void> {
    await this.pass(`readVector ${offset}+${bytesOf(targets)}`);
    let at = offset;
    for (const target of targets) {
      target.set(this.bytes.subarray(at, at + target.length));
      at += target.length;
    }
  }
  async writeVector(offset: number, sources: readonly Uint8Array[]): Promise<void> {
    await this.pass(`writeVector ${offset}+${bytesOf(sources)}`);
    this.bytes.set(joined(sources), offset);
  }
}

/** A disk of whose bytes some are in the host's memory. */
class CachedDisk extends VectorDisk {
  cachedTo = MIB;
  readCached(offset: number, targets: readonly Uint8Array[]): boolean {
    if (offset + bytesOf(targets) > this.cachedTo) return false;
    this.log.push(`readCached ${offset}+${bytesOf(targets)}`);
    for (const target of targets) {
      target.set(this.bytes.subarray(offset, offset + target.length));
      offset += target.length;
    }
    return true;
  }
}

function header(type: number, sector: number | bigint = 0): Uint8Array {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setUint32(0, type, true);
  new DataView(bytes.buffer).setBigUint64(8, BigInt(sector), true);
  return bytes;
}

function range(sector: number, sectors: number, flags = 0): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(sector), true);
  view.setUint32(8, sectors, true);
  view.setUint32(12, flags, true);
  return bytes;
}

function started(options: Partial<BlockDeviceOptions> = {}, without?: bigint) {
  const disk = new ProbedDisk();
  const device = new BlockDevice({ backend: disk, ...options });
  const driver = new MockDriver(device).start(without === undefined ? {} : { without });
  const queue = driver.queue(0);
  const request = async (...buffers: (Uint8Array | number)[]) => {
    queue.send(...buffers);
    const done = await queue.next();
    return { ...done, status: done.data.at(-1) };
  };
  return { disk, device, driver, queue, request };
}

describe("reading and writing", () => {
  it("writes then reads in any split → the bytes come back", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 2000 }),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 20_000 }),
        async (sector, sectors, split) => {
          const { request } = started();
          const data = pattern(sectors * 512, sector + 1);
          const cut = Math.min(split, data.length - 1);
          const wrote = await request(
            header(RequestType.Out, sector),
            data.subarray(0, cut),
            data.subarray(cut),
            1,
          );
          expect([wrote.status, wrote.written]).toEqual([0, 1]);
          const read = await request(header(RequestType.In, sector), cut, data.length - cut, 1);
          expect([read.status, read.written]).toEqual([0, data.length + 1]);
          expect(Buffer.compare(read.data.subarray(0, -1), data)).toBe(0);
        },
      ),
      { numRuns: 25 },
    );
  });

  it("a header split over descriptors, the status in the data's buffer → served all the same", async () => {
    const { request } = started();
    const whole = header(RequestType.In, 1);
    const read = await request(whole.subarray(0, 3), whole.subarray(3), 513);
    expect([read.status, read.written]).toEqual([0, 513]);
  });

  it("a request larger than one piece → moved in pieces", async () => {
    const backend = await RawDisk.open(new MemoryFile(4 * MIB));
    const { request } = started({ backend });
    const data = pattern(3 * MIB - 512);
    expect((await request(header(RequestType.Out, 1), data, 1)).status).toBe(0);
    const read = await request(header(RequestType.In, 1), data.length, 1);
    expect(Buffer.compare(read.data.subarray(0, -1), data)).toBe(0);
  });

  it("slow requests → the vCPU is not held, and they end in any order", async () => {
    const { disk, queue, request } = started();
    disk.hold();
    const slow = queue.send(header(RequestType.In, 0), 512, 1);
    disk.release();
    disk.hold();
    expect(queue.poll()).toEqual([]);
    disk.release();
    expect((await queue.next()).head).toBe(slow);
    expect((await request(header(RequestType.GetId), 20, 1)).status).toBe(0);
  });

  it("GET_ID → the serial number, padded with zeroes", async () => {
    const { request } = started({ serial: "qz-disk-1" });
    const { data } = await request(header(RequestType.GetId), 20, 1);
    expect(new TextDecoder().decode(data.subarray(0, 20)).replaceAll("\0", "")).toBe("qz-disk-1");
  });
});

describe("a disk that takes several buffers, a driver that waits for resets", () => {
  const direct = () => {
    const disk = new VectorDisk();
    const driver = new MockDriver(new BlockDevice({ backend: disk }), undefined, {
      awaitsReset: true,
    }).start();
    return { disk, driver, queue: driver.queue(0) };
  };

  it("writes then reads in any split → the bytes come back, with no copy between", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 2000 }),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 20_000 }),
        async (sector, sectors, split) => {
          const { disk, queue } = direct();
          const data = pattern(sectors * 512, sector + 1);
          const cut = Math.min(split, data.length - 1);
          const parts = [data.subarray(0, cut), data.subarray(cut)];
          queue.send(header(RequestType.Out, sector), ...parts, 1);
          expect((await queue.next()).data.at(-1)).toBe(0);
          // The status behind the data, in one buffer with the last of it.
          queue.send(header(RequestType.In, sector), cut, data.length - cut + 1);
          const read = await queue.next();
          expect(read.data.at(-1)).toBe(0);
          expect(Buffer.compare(read.data.subarray(0, -1), data)).toBe(0);
          const where = `${sector * 512}+${data.length}`;
          expect(disk.log).toEqual([`writeVector ${where}`, `readVector ${where}`]);
        },
      ),
      { numRuns: 25 },
    );
  });

  it("a read → pages with code or unsaved are told of before and behind it", async () => {
    const { disk, driver, queue } = direct();
    driver.memory.startDirtyTracking();
    disk.hold();
    queue.send(header(RequestType.In, 0), 4096, 1);
    driver.memory.takeDirtyPages();
    disk.bytes.fill(0xaa);
    disk.release();
    await queue.next();
    const dirty = driver.memory.takeDirtyPages();
    const data = dirty.filter((page) => driver.memory.readUint8(page + 4095) === 0xaa);
    expect(data).toHaveLength(1);
  });

  it("a read into ROM → the page keeps what it holds", async () => {
    const { disk, driver, queue } = direct();
    disk.bytes.fill(0xaa);
    // The header's page comes first, then the data's.
    const free = driver.pages.take(8192);
    driver.pages.give(free);
    driver.memory.protect(free.address + 4096, 4096);
    queue.send(header(RequestType.In, 0), 8192, 1);
    await queue.next();
    expect(disk.log).toEqual(["read 0+8192"]);
    expect(driver.memory.readUint8(free.address + 4096)).toBe(0);
  });

  it("reset while a read is running → the driver sees it done when the read is", async () => {
    const { disk, driver, queue } = direct();
    disk.hold();
    driver.memory.startDirtyTracking();
    queue.send(header(RequestType.In, 0), 4096, 1);
    driver.write(0x70, 0);
    expect(driver.status).not.toBe(0);
    driver.memory.takeDirtyPages();
    disk.release();
    await driver.transport.control.device.settled?.();
    await turn();
    expect(driver.status).toBe(0);
    expect(driver.memory.takeDirtyPages()).toHaveLength(1);
  });
});

describe("requests that make no sense", () => {
  it.each([
    ["a sector past the end", [header(RequestType.In, 2048), 512, 1], 1],
    ["a range that leaves the disk", [header(RequestType.In, 2047), 1024, 1], 1],
    ["a sector beyond 2^53", [header(RequestType.Out, 2n ** 63n), new Uint8Array(512), 1], 1],
    ["half a sector", [header(RequestType.In, 0), 100, 1], 1],
    ["an unknown type", [header(99), 1], 2],
    ["a DISCARD of no range", [header(RequestType.Discard), 1], 1],
    ["a DISCARD of half a range", [header(RequestType.Discard), new Uint8Array(8), 1], 1],
    ["a DISCARD with a flag", [header(RequestType.Discard), range(0, 8, 1), 1], 2],
    ["a DISCARD past the end", [header(RequestType.Discard), range(2040, 16), 1], 1],
    [
      "WRITE_ZEROES of too many ranges",
      [header(RequestType.WriteZeroes), new Uint8Array(16 * 33), 1],
      1,
    ],
  ])("%s → an error status, the device goes on", async (_, buffers, status) => {
    const { driver, request } = started();
    expect((await request(...buffers)).status).toBe(status);
    expect(driver.needsReset).toBe(false);
  });

  it.each([
    ["a short header", [new Uint8Array(8), 1]],
    ["no status byte", [header(RequestType.Out), new Uint8Array(512)]],
  ])("%s → DEVICE_NEEDS_RESET", (_, buffers) => {
    const { driver, queue } = started();
    queue.send(...buffers);
    expect(driver.needsReset).toBe(true);
    expect(driver.faults[0]).toMatchObject({ code: "QZ_VIRTIO_REQUEST" });
  });

  it("a backend that fails → an I/O error for the guest, the cause for the owner", async () => {
    const errors: unknown[] = [];
    const { disk, device, request } = started({ onError: (error) => errors.push(error) });
    disk.failing = true;
    expect((await request(header(RequestType.Out), new Uint8Array(512), 1)).status).toBe(1);
    expect(errors).toHaveLength(1);
    expect(device.counters.errors).toBe(1);
  });
});

describe("durability", () => {
  it("FLUSH → the backend's flush before the answer", async () => {
    const { disk, queue } = started();
    disk.hold();
    queue.send(header(RequestType.Flush), 1);
    await turn();
    expect(queue.poll()).toEqual([]);
    disk.release();
    await queue.next();
    expect(disk.log).toEqual(["flush"]);
  });

  it("FLUSH not negotiated → each write is flushed before its answer", async () => {
    const { disk, request } = started({}, BlockFeature.Flush);
    await request(header(RequestType.Out, 1), new Uint8Array(512), 1);
    expect(disk.log).toEqual(["write 512+512", "flush"]);
  });

  it("the write cache turned off → flushed at once, and then after each write", async () => {
    const { disk, driver, request } = started();
    expect(driver.config(32, 1)).toBe(1);
    driver.writeConfig(32, 1, 0);
    await request(header(RequestType.Out, 1), new Uint8Array(512), 1);
    expect(disk.log).toEqual(["flush", "write 512+512", "flush"]);
  });
});

describe("DISCARD and WRITE_ZEROES", () => {
  it("ranges → handed to the backend one by one", async () => {
    const { disk, request } = started();
    const ranges = join([range(8, 8), range(100, 4)]);
    expect((await request(header(RequestType.Discard), ranges, 1)).status).toBe(0);
    const zero = join([range(0, 1, 1), range(5, 2, 0)]);
    expect((await request(header(RequestType.WriteZeroes), zero, 1)).status).toBe(0);
    expect(disk.log).toEqual([
      "discard 4096+4096",
      "discard 51200+2048",
      "zero 0+512 unmap",
      "zero 2560+1024",
    ]);
  });
});

describe("a read-only disk", () => {
  it("RO offered, writes of every kind → I/O error, the backend is not asked", async () => {
    const disk = new ProbedDisk();
    disk.readOnly = true;
    const { driver, request } = started({ backend: disk });
    expect(driver.offered & (BlockFeature.ReadOnly | BlockFeature.Discard)).toBe(
      BlockFeature.ReadOnly,
    );
    for (const [type, data] of [
      [RequestType.Out, new Uint8Array(512)],
      [RequestType.Discard, range(0, 1)],
      [RequestType.WriteZeroes, range(0, 1)],
    ] as const)
      expect((await request(header(type), data, 1)).status).toBe(1);
    expect(disk.log).toEqual([]);
  });
});

describe("limits", () => {
  it("requests a second → the rest waits in the ring for guest time", async () => {
    const clock = new VirtualClock();
    const limits = { requests: { perSecond: 10, burst: 2 } };
    const { device, queue } = started({ clock, limits });
    for (let i = 0; i < 5; i++) queue.add(header(RequestType.In, i), 512, 1);
    queue.notify();
    expect(await queue.take(2)).toHaveLength(2);
    await turn();
    expect(queue.poll()).toEqual([]);
    clock.advanceTo(1e9 * 0.11);
    await queue.take(1);
    await turn();
    expect(queue.poll()).toEqual([]);
    clock.advanceTo(2e9);
    clock.advanceTo(4e9);
    await queue.take(2);
    expect(device.counters.throttled).toBeGreaterThan(0);
  });

  it("limits without a clock → QZ_VIRTIO_OPTIONS", () => {
    expect(() => started({ limits: { bytes: { perSecond: 1 } } })).toThrow(/they need a clock/);
  });
});

describe("reset, unplug, save", () => {
  it("reset while a read is running → guest memory stays as it is", async () => {
    const { disk, driver, queue } = started();
    disk.bytes.fill(0xaa);
    disk.hold();
    queue.send(header(RequestType.In, 0), 4096, 1);
    driver.write(0x70, 0);
    const before = driver.memory.readBytes(0, driver.memory.ramBytes);
    disk.release();
    await driver.transport.control.device.settled?.();
    expect(Buffer.compare(driver.memory.readBytes(0, driver.memory.ramBytes), before)).toBe(0);
  });

  it("a new driver while the old one's write is running → its requests wait for it", async () => {
    const { disk, driver, queue } = started();
    disk.hold();
    queue.send(header(RequestType.Out, 0), pattern(512), 1);
    driver.start();
    driver.queue(0).send(header(RequestType.In, 0), 512, 1);
    await turn();
    expect(disk.log).toEqual(["write 0+512"]);
    disk.release();
    const read = await driver.queue(0).next();
    expect(Buffer.compare(read.data.subarray(0, 512), pattern(512))).toBe(0);
  });

  it("closed → waits for running I/O, then closes the backend", async () => {
    const { disk, driver, queue } = started();
    disk.hold();
    queue.send(header(RequestType.Out, 0), pattern(512), 1);
    const closed = driver.transport.control.close();
    await turn();
    expect(disk.log).toEqual(["write 0+512"]);
    disk.release();
    await closed;
    expect(disk.log.at(-1)).toBe("close");
  });

  it("saved while requests are in flight → the restored device does them again", async () => {
    const first = started();
    first.disk.hold();
    for (let i = 0; i < 4; i++)
      first.queue.send(header(RequestType.Out, i), pattern(512, i + 1), 1);
    const state = structuredClone(first.driver.transport.save());
    expect(state.control.queues[0]?.progress?.inFlight).toHaveLength(4);

    const disk = new ProbedDisk();
    const second = new MockDriver(new BlockDevice({ backend: disk }), first.driver.memory);
    second.transport.restore(state);
    second.transport.control.resume();
    await first.queue.take(4);
    for (let i = 0; i < 4; i++)
      expect(Buffer.compare(disk.bytes.subarray(512 * i, 512 * i + 512), pattern(512, i + 1))).toBe(
        0,
      );
  });

  it("paused → running requests end first, new ones wait", async () => {
    const { disk, driver, queue } = started();
    disk.hold();
    queue.send(header(RequestType.Out, 0), pattern(512), 1);
    let paused = false;
    const pausing = driver.transport.control.pause().then(() => (paused = true));
    await turn();
    expect(paused).toBe(false);
    disk.release();
    await pausing;
    expect(queue.poll()).toHaveLength(1);
    queue.send(header(RequestType.In, 0), 512, 1);
    await turn();
    expect(driver.transport.save().control.queues[0]?.progress?.inFlight).toEqual([]);
    driver.transport.control.resume();
    await queue.next();
  });

  it("a disk of another size → QZ_VIRTIO_STATE", async () => {
    const { driver } = started();
    const other = await RawDisk.open(new MemoryFile(2 * MIB));
    const second = new MockDriver(new BlockDevice({ backend: other }));
    expect(() => second.transport.restore(driver.transport.save())).toThrow(
      expect.objectContaining({ code: "QZ_VIRTIO_STATE" }),
    );
  });
});

describe("a disk of which the host has bytes in memory", () => {
  const cached = (options: { awaitsReset?: boolean } = {}) => {
    const disk = new CachedDisk();
    disk.bytes.set(pattern(MIB));
    const device = new BlockDevice({ backend: disk });
    const driver = new MockDriver(device, undefined, options).start();
    return { disk, device, driver, queue: driver.queue(0) };
  };

  it.each([true, false])(
    "a read, where the driver waits for resets: %s → answered when the notification returns",
    (awaitsReset) => {
      const { disk, device, queue } = cached({ awaitsReset });
      queue.send(header(RequestType.In, 3), 512, 4096, 1);
      queue.send(header(RequestType.In, 5), 512, 1);
      const answers = queue.poll();
      expect(answers.map(({ data }) => data.at(-1))).toEqual([0, 0]);
      const expected = pattern(MIB).subarray(3 * 512, 3 * 512 + 4608);
      expect(answers[0]?.data.subarray(0, -1)).toEqual(expected);
      expect(disk.log).toEqual(["readCached 1536+4608", "readCached 2560+512"]);
      expect(device.counters).toMatchObject({ reads: 2, readBytes: 5120, errors: 0 });
      expect(device.busy).toBe(false);
    },
  );

  it("a read of which not all is there → waits for the disk, and has the right bytes", async () => {
    const { disk, device, queue } = cached({ awaitsReset: true });
    disk.cachedTo = 4096;
    queue.send(header(RequestType.In, 4), 4096, 1);
    expect(queue.poll()).toEqual([]);
    const { data } = await queue.next();
    expect(Buffer.compare(data.subarray(0, -1), pattern(MIB).subarray(2048, 6144))).toBe(0);
    expect(disk.log).toEqual(["readVector 2048+4096"]);
    expect(device.counters).toMatchObject({ reads: 1, readBytes: 4096 });
  });

  it("a read past the end, of no whole sectors, or of nothing → as where nothing is there", async () => {
    const { disk, queue } = cached();
    for (const [sector, bytes, status] of [
      [MIB / 512 - 1, 1024, 1],
      [2n ** 63n, 512, 1],
      [0, 511, 1],
      [0, 0, 0],
    ] as const) {
      queue.send(header(RequestType.In, sector), bytes + 1);
      expect((await queue.next()).data.at(-1)).toBe(status);
    }
    expect(disk.log).toEqual([]);
  });

  it("a read into ROM → the page keeps what it holds", async () => {
    const { disk, driver, queue } = cached();
    disk.bytes.fill(0xaa);
    // The header's page comes first, then the data's.
    const free = driver.pages.take(8192);
    driver.pages.give(free);
    driver.memory.protect(free.address + 4096, 4096);
    queue.send(header(RequestType.In, 0), 8192, 1);
    await queue.next();
    expect(disk.log).toEqual(["read 0+8192"]);
    expect(driver.memory.readUint8(free.address + 4096)).toBe(0);
  });

  it("a read → pages with code or unsaved are told of", () => {
    const { driver, queue } = cached();
    driver.memory.startDirtyTracking();
    driver.memory.takeDirtyPages();
    queue.send(header(RequestType.In, 0), 4096, 1);
    queue.poll();
    const first = pattern(MIB)[100];
    const dirty = driver.memory.takeDirtyPages();
    expect(dirty.filter((page) => driver.memory.readUint8(page + 100) === first)).toHaveLength(1);
  });
});

describe("a flooding guest", () => {
  it("a guest that reads what is in memory for ever → the monitor gets its turns", async () => {
    const disk = new CachedDisk();
    const device = new BlockDevice({ backend: disk });
    const driver = new MockDriver(device);
    driver.start();
    const queue = driver.queue(0);
    const at = driver.pages.take(4096).address;
    driver.memory.writeBytes(at, header(RequestType.In, 0));
    const buffers = [
      { address: at, length: 16 },
      { address: 0x200000, length: MIB },
      { address: at + 16, length: 1 },
    ];
    buffers.forEach((buffer, i) =>
      queue.writeDescriptor(queue.descriptors + 16 * i, {
        ...buffer,
        flags: [1, 3, 2][i] ?? 0,
        next: i + 1,
      }),
    );
    const reads = (): number => disk.log.filter((line) => line.startsWith("readCached")).length;
    // As often as it comes at once, and then as often again.
    for (let turns = 1; turns <= 2; turns++) {
      for (let i = 0; i < 100 && !device.busy; i++) {
        queue.offer(0);
        device.notify(0);
      }
      expect(reads()).toBe(16 * turns);
      await device.settled();
      await turn();
    }
    expect(device.counters.reads).toBe(34);
  });

  it("a guest on another vCPU that refills the ring for ever → the monitor gets its turns", async () => {
    const { device, driver, queue } = started();
    const bytes = header(RequestType.GetId);
    driver.memory.writeBytes(0x200000, bytes);
    queue.writeDescriptor(queue.descriptors, { address: 0x200000, length: 16, flags: 1, next: 1 });
    queue.writeDescriptor(queue.descriptors + 16, {
      address: 0x201000,
      length: 21,
      flags: 2,
      next: 0,
    });
    let refills = 0;
    const control = driver.transport.control;
    const complete = control.memory.beforeWrite.bind(control.memory);
    // Each answer that is published is followed at once by a new request with the same head.
    const published = driver.memory.offsetOf(queue.deviceRing + 2, 2);
    control.memory.beforeWrite = (offset, length) => {
      if (offset === published && refills++ < 1e6) queueMicrotask(() => queue.offer(0));
      return complete(offset, length);
    };
    queue.offer(0);
    device.notify(0);
    for (let i = 0; i < 3; i++) await turn();
    driver.write(0x70, 0);
    expect(refills).toBeLessThan(10_000);
  });

  it("hundreds of large requests at once → at most some MiB are held, all are served", async () => {
    let held = 0;
    let most = 0;
    const backend: BlockBackend = {
      capacity: 64 * MIB,
      readOnly: false,
      read: async (_, target) => {
        held += target.length;
        most = Math.max(most, held);
        await turn();
        held -= target.length;
      },
      write: () => Promise.resolve(),
      flush: () => Promise.resolve(),
      discard: () => Promise.resolve(),
      writeZeroes: () => Promise.resolve(),
      close: () => Promise.resolve(),
    };
    const device = new BlockDevice({ backend });
    const driver = new MockDriver(device);
    driver.start({ size: 256 });
    const queue = driver.queue(0);
    // Each request reads 8 × 1 MiB into the same RAM.
    const table = driver.pages.take(4096).address;
    driver.memory.writeBytes(table + 2048, header(RequestType.In, 0));
    for (let i = 0; i < 10; i++) {
      const edge =
        i === 0 ? { address: table + 2048, length: 16 } : { address: 0x400000, length: MIB };
      const last = { address: table + 3072, length: 1 };
      queue.writeDescriptor(table + 16 * i, {
        ...(i === 9 ? last : edge),
        flags: i === 0 ? 1 : i === 9 ? 2 : 3,
        next: i + 1,
      });
    }
    for (let i = 0; i < 200; i++) {
      queue.writeDescriptor(queue.descriptors + 16 * i, {
        address: table,
        length: 160,
        flags: 4,
        next: 0,
      });
      queue.offer(i);
    }
    queue.notify();
    await until(() => queue.inspectUsedIndex() === 200);
    expect(most).toBeLessThanOrEqual(17 * MIB);
    expect(device.counters.readBytes).toBe(200 * 8 * MIB);
  });
});
