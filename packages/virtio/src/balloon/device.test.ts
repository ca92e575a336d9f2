import { VirtualClock } from "@queztl/memory";
import { describe, expect, it } from "vitest";
import { MockDriver } from "../testing/driver.ts";
import { BalloonDevice } from "./device.ts";
import type { BalloonDeviceOptions, BalloonStatistics } from "./device.ts";

function started(options: Partial<BalloonDeviceOptions> = {}) {
  const discarded: [number, number][] = [];
  const device = new BalloonDevice({
    discard: (address, length) => void discarded.push([address, length]),
    ...options,
  });
  const driver = new MockDriver(device).start();
  return { device, discarded, driver };
}

const pages = (...numbers: number[]) => new Uint8Array(Uint32Array.from(numbers).buffer);

function statistics(...entries: [number, number][]): Uint8Array {
  const bytes = new Uint8Array(10 * entries.length);
  const view = new DataView(bytes.buffer);
  entries.forEach(([tag, value], i) => {
    view.setUint16(10 * i, tag, true);
    view.setBigUint64(10 * i + 2, BigInt(value), true);
  });
  return bytes;
}

describe("inflating and deflating", () => {
  it("a target → the configuration and its interrupt; what the guest gave is read back", () => {
    const { device, driver } = started();
    device.setTarget(10 * 4096 + 100);
    expect(driver.config(0, 4)).toBe(10);
    expect(driver.acknowledge()).toBe(2);
    driver.writeConfig(4, 4, 7);
    expect(device.actualBytes).toBe(7 * 4096);
  });

  it("pages in any order → given to the host, neighbours together", () => {
    const { discarded, driver } = started();
    driver.queue(0).send(pages(9, 3, 5, 4, 100));
    expect(discarded).toEqual([
      [3 * 4096, 3 * 4096],
      [9 * 4096, 4096],
      [100 * 4096, 4096],
    ]);
    driver.queue(1).send(pages(3));
    expect(discarded).toHaveLength(3);
  });

  it.each([
    ["half a page number", new Uint8Array(6)],
    ["more page numbers than any driver names", new Uint8Array(4 * 5000)],
  ])("%s → DEVICE_NEEDS_RESET", (_, bytes) => {
    const { driver } = started();
    driver.queue(0).send(bytes);
    expect(driver.needsReset).toBe(true);
  });
});

describe("free page reporting", () => {
  it("reported ranges → given to the host before the buffers are returned, whole pages only", () => {
    const { device, discarded, driver } = started();
    driver.queue(3).send(8192, 4096, 100);
    const [done] = driver.queue(3).poll();
    expect(done).toBeDefined();
    expect(discarded.map(([, length]) => length)).toEqual([8192, 4096]);
    expect(device.counters.reportedBytes).toBe(12288);
  });
});

describe("statistics", () => {
  it("asked → the guest's buffer goes back and comes with the numbers", async () => {
    const { device, driver } = started();
    driver.queue(2).send(statistics([4, 1], [5, 2]));
    expect(driver.queue(2).poll()).toEqual([]);
    const asked = device.askStatistics();
    expect(driver.queue(2).poll()).toHaveLength(1);
    driver.queue(2).send(statistics([4, 1000], [5, 2000], [99, 3]));
    expect(await asked).toEqual({ freeBytes: 1000, totalBytes: 2000 });
  });

  it("an interval → asked again and again, by guest time", () => {
    const clock = new VirtualClock();
    const told: BalloonStatistics[] = [];
    const { driver } = started({
      clock,
      statisticsSeconds: 5,
      onStatistics: (s) => void told.push(s),
    });
    for (let i = 1; i <= 3; i++) {
      driver.queue(2).send(statistics([6, i]));
      clock.advanceTo(i * 5e9);
      expect(driver.queue(2).poll()).toHaveLength(1);
    }
    expect(told).toEqual([{ availableBytes: 1 }, { availableBytes: 2 }, { availableBytes: 3 }]);
  });

  it("EVENT_IDX, an interval → the driver is asked to notify each time", () => {
    const clock = new VirtualClock();
    const told: BalloonStatistics[] = [];
    const device = new BalloonDevice({
      discard: () => {},
      clock,
      statisticsSeconds: 5,
      onStatistics: (s) => void told.push(s),
    });
    const driver = new MockDriver(device).start({ without: 0n });
    for (let i = 1; i <= 3; i++) {
      driver.queue(2).send(statistics([6, i]));
      clock.advanceTo(i * 5e9);
      driver.queue(2).poll();
    }
    expect(told).toHaveLength(3);
  });

  it("a second buffer while one is held → DEVICE_NEEDS_RESET", () => {
    const { driver } = started();
    driver.queue(2).send(statistics([4, 1]));
    driver.queue(2).send(statistics([4, 1]));
    expect(driver.needsReset).toBe(true);
  });

  it("an interval without a clock → QZ_VIRTIO_OPTIONS", () => {
    expect(() => started({ statisticsSeconds: 5 })).toThrow(/needs a clock/);
  });
});

describe("save and restore", () => {
  it("saved with the statistics buffer held → it is there after the restore", async () => {
    const first = started();
    first.device.setTarget(4096 * 50);
    first.driver.writeConfig(4, 4, 20);
    first.driver.queue(2).send(statistics([4, 11]));
    const state = structuredClone(first.driver.transport.save());
    const second = started();
    const driver = new MockDriver(second.device, first.driver.memory);
    driver.transport.restore(state);
    driver.transport.control.resume();
    expect([driver.config(0, 4), second.device.actualBytes]).toEqual([50, 20 * 4096]);
    expect(second.device.statistics).toEqual({ freeBytes: 11 });
    void second.device.askStatistics();
    expect(first.driver.queue(2).poll()).toHaveLength(1);
  });

  it("a state that is none → QZ_VIRTIO_STATE", () => {
    const { device } = started();
    expect(() => device.restore({ version: 1, pages: -1, actual: 0 })).toThrow(/pages/);
  });
});
