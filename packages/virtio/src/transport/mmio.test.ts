import { describe, expect, it } from "vitest";
import { Feature } from "../device.ts";
import { MockDriver, pattern } from "../testing/driver.ts";
import { EchoDevice } from "../testing/echo-device.ts";

const fresh = () => {
  const device = new EchoDevice();
  return { device, driver: new MockDriver(device) };
};
const codes = (driver: MockDriver) =>
  driver.faults.map((f) => (f as Error & { code: string }).code);

describe("identity and configuration", () => {
  it("the identification registers → virt, version 2, the device's type", () => {
    const { driver } = fresh();
    expect([driver.read(0), driver.read(4), driver.read(8)]).toEqual([0x74726976, 2, 42]);
  });

  it("accesses of 1, 2 and 4 bytes to the configuration → little-endian parts; beyond it 0", () => {
    const { driver } = fresh();
    driver.writeConfig(0, 4, 0x44332211);
    driver.writeConfig(6, 2, 0x8877);
    driver.writeConfig(7, 2, 0xffff);
    expect([driver.config(1, 1), driver.config(2, 2), driver.config(4, 4)]).toEqual([
      0x22, 0x4433, 0x88770000,
    ]);
    expect(driver.config(200, 4)).toBe(0);
  });

  it("the device changes its configuration → generation grows, interrupt cause 2", () => {
    const { device, driver } = fresh();
    driver.start();
    const before = driver.read(0xfc);
    device.config.changed();
    expect(driver.read(0xfc)).toBe(before + 1);
    expect(driver.acknowledge()).toBe(2);
  });
});

describe("feature negotiation", () => {
  it("a feature that is not offered → FEATURES_OK does not stay", () => {
    const { driver } = fresh();
    expect(driver.negotiate(0b10n)).toBe(false);
    expect(driver.negotiate(1n << 40n)).toBe(false);
    expect(driver.negotiate(0b1n)).toBe(true);
  });

  it("a combination the device does not accept → FEATURES_OK does not stay", () => {
    const { driver } = fresh();
    expect(driver.negotiate(0b100n)).toBe(false);
    expect(driver.negotiate(0b101n)).toBe(true);
  });

  it("no VERSION_1 → FEATURES_OK does not stay", () => {
    const { driver } = fresh();
    driver.write(0x70, 3);
    driver.write(0x70, 11);
    expect(driver.status).toBe(3);
  });

  it("features written after FEATURES_OK → DEVICE_NEEDS_RESET", () => {
    const { driver } = fresh();
    driver.negotiate(1n);
    driver.write(0x20, 1);
    expect(driver.needsReset).toBe(true);
    expect(codes(driver)).toEqual(["QZ_VIRTIO_REGISTER"]);
  });

  it("DRIVER_OK without FEATURES_OK → DEVICE_NEEDS_RESET", () => {
    const { driver } = fresh();
    driver.write(0x70, 7);
    expect(driver.needsReset).toBe(true);
  });
});

describe("queue registers changed at the wrong time", () => {
  it.each([
    ["before FEATURES_OK", (d: MockDriver) => d.write(0x70, 3)],
    ["after DRIVER_OK", (d: MockDriver) => void d.start()],
  ])("%s → DEVICE_NEEDS_RESET", (_, arrange) => {
    for (const [register, value] of [
      [0x38, 8],
      [0x44, 1],
      [0x80, 0x1000],
      [0x94, 1],
      [0xa0, 0x1000],
    ] as const) {
      const { driver } = fresh();
      arrange(driver);
      driver.write(register, value);
      expect([register, driver.needsReset, ...codes(driver)]).toEqual([
        register,
        true,
        "QZ_VIRTIO_REGISTER",
      ]);
    }
  });

  it("an enabled queue → DEVICE_NEEDS_RESET", () => {
    const { driver } = fresh();
    driver.negotiate(1n);
    const queue = driver.setUpQueue(0, 8);
    driver.placeQueue({
      index: queue.index,
      size: 16,
      descriptors: 0,
      driverRing: 0,
      deviceRing: 0,
    });
    expect(driver.needsReset).toBe(true);
  });

  it("a queue that does not exist → size 0, writes go nowhere", () => {
    const { driver } = fresh();
    driver.negotiate(1n);
    driver.write(0x30, 7);
    expect(driver.read(0x34)).toBe(0);
    driver.write(0x44, 1);
    driver.write(0x50, 7);
    expect(driver.faults).toEqual([]);
  });
});

describe("rings checked whole at activation", () => {
  const good = {
    index: 0,
    size: 8,
    descriptors: 0x10000,
    driverRing: 0x20000,
    deviceRing: 0x30000,
  };
  it.each([
    ["a size that is no power of two", { size: 6 }],
    ["a size of 0", { size: 0 }],
    ["a size beyond the offer", { size: 128 }],
    ["descriptors misaligned", { descriptors: 0x10008 }],
    ["the available ring misaligned", { driverRing: 0x20001 }],
    ["the used ring misaligned", { deviceRing: 0x30002 }],
    ["descriptors leaving RAM", { descriptors: 8 * 1024 * 1024 - 64 }],
    ["the used ring leaving RAM", { deviceRing: 8 * 1024 * 1024 - 64 }],
    ["the available ring beyond 64 bits of sense", { driverRing: 2 ** 63 }],
  ])("%s → DEVICE_NEEDS_RESET", (_, change) => {
    const { driver } = fresh();
    driver.negotiate(1n);
    driver.placeQueue({ ...good, ...change });
    expect(driver.needsReset).toBe(true);
    expect(codes(driver)).toEqual(["QZ_VIRTIO_RING"]);
    expect(driver.read(0x44)).toBe(0);
  });
});

describe("a driver that fills a queue before DRIVER_OK, as Linux's balloon does", () => {
  it("its requests are taken at DRIVER_OK", () => {
    const { driver } = fresh();
    driver.negotiate(1n);
    const queue = driver.setUpQueue(0, 8);
    queue.send(pattern(8), 8);
    expect(queue.poll()).toEqual([]);
    driver.write(0x70, 15);
    expect(queue.poll()).toHaveLength(1);
  });
});

describe("reset", () => {
  it("status 0 → queues, features, interrupt gone; the device starts anew", () => {
    const { device, driver } = fresh();
    driver.start();
    driver.queue(0).send(pattern(8), 8);
    driver.write(0x70, 0);
    expect([driver.status, driver.read(0x44), driver.read(0x60)]).toEqual([0, 0, 0]);
    expect(device.stops).toBeGreaterThan(0);
    driver.start();
    driver.queue(0).send(pattern(8), 8);
    expect(driver.queue(0).poll()).toHaveLength(1);
  });

  it("DEVICE_NEEDS_RESET → interrupts the driver, ignores notifications, ends with the reset", () => {
    const { driver } = fresh();
    driver.start();
    driver.queue(0).offer(63 + 1);
    driver.notify(0);
    expect(driver.acknowledge() & 2).toBe(2);
    driver.notify(0);
    expect(driver.faults).toHaveLength(1);
    driver.start();
    expect(driver.needsReset).toBe(false);
  });

  it("a device that throws → DEVICE_NEEDS_RESET with the cause, nothing reaches the vCPU", () => {
    const { device, driver } = fresh();
    driver.start();
    device.notify = () => {
      throw new RangeError("a defect");
    };
    driver.notify(0);
    expect(codes(driver)).toEqual(["QZ_VIRTIO_DEVICE"]);
    expect(driver.faults[0]?.cause).toEqual(new RangeError("a defect"));
  });
});

describe("save and restore", () => {
  it("saved with requests in flight → the restored device answers them", () => {
    const first = fresh();
    first.driver.start();
    first.device.answers = false;
    const heads = [1, 2, 3].map((n) => first.driver.queue(0).send(pattern(32, n), 32));
    const state = structuredClone(first.driver.transport.save());
    expect(state.control.queues[0]?.progress?.inFlight).toEqual(heads);

    const device = new EchoDevice();
    const second = new MockDriver(device, first.driver.memory);
    second.transport.restore(state);
    expect(first.driver.queue(0).inspectUsedIndex()).toBe(0);
    second.transport.control.resume();
    const done = first.driver.queue(0).poll();
    expect(done.map((c) => c.head)).toEqual(heads);
    expect(Buffer.compare(done[1]?.data ?? new Uint8Array(), pattern(32, 2))).toBe(0);
  });

  it("paused → requests wait; resumed → they are answered", async () => {
    const { driver } = fresh();
    driver.start();
    await driver.transport.control.pause();
    driver.queue(0).send(pattern(8), 8);
    expect(driver.queue(0).poll()).toEqual([]);
    driver.transport.control.resume();
    expect(driver.queue(0).poll()).toHaveLength(1);
  });

  it("a state of another version, device or shape → QZ_VIRTIO_STATE", () => {
    const { driver } = fresh();
    driver.start();
    const good = driver.transport.save();
    const bad = [
      { ...good, version: 2 },
      { ...good, control: { ...good.control, version: 9 } },
      { ...good, control: { ...good.control, device: "block" } },
      { ...good, control: { ...good.control, queues: [] } },
      { ...good, control: { ...good.control, driverFeatures: 1n << 60n } },
    ];
    for (const state of bad) {
      expect(() => driver.transport.restore(state as typeof good)).toThrow(
        expect.objectContaining({ code: "QZ_VIRTIO_STATE" }),
      );
    }
  });

  it("saved while the driver has named features that are not offered → restored all the same", () => {
    const first = fresh();
    first.driver.write(0x70, 3);
    first.driver.write(0x20, 0xffffffff);
    const second = fresh();
    second.driver.transport.restore(first.driver.transport.save());
    expect(second.driver.status).toBe(3);
  });

  it("EVENT_IDX is on after restore as before", () => {
    const first = fresh();
    first.driver.start({ without: 0n });
    const state = first.driver.transport.save();
    expect(state.control.driverFeatures & Feature.RingEventIdx).not.toBe(0n);
    const second = new MockDriver(new EchoDevice(), first.driver.memory);
    second.transport.restore(state);
    second.transport.control.resume();
    expect(first.driver.queue(0).availableEvent).toBe(0);
  });
});
