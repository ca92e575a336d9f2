import { VirtualClock } from "@queztl/memory";
import { describe, expect, it } from "vitest";
import { PciTransport } from "../src/index.ts";
import type { VirtioDevice } from "../src/index.ts";
import { MockDriver, pattern } from "../src/testing/driver.ts";
import { DEVICES, Dice, outsideOf, settle } from "./fuzz/harness.ts";

/** What a driver has in flight at each device: the queue, and buffers to read and to write. */
const IN_FLIGHT: Readonly<
  Record<string, readonly (readonly [number, ...(Uint8Array | number)[]])[]>
> = {
  block: [
    [0, blockHeader(0), 4096, 1],
    [1, blockHeader(1), pattern(4096), 1],
    [0, blockHeader(4), 1],
  ],
  net: [
    [0, 1526],
    [0, 1526],
    [1, new Uint8Array(12), arpRequest()],
  ],
  console: [
    [0, 100],
    [1, pattern(1000)],
    [2, 64],
    [3, Uint8Array.of(0, 0, 0, 0, 0, 0, 1, 0)],
    [5, pattern(70_000)],
  ],
  rng: [
    [0, 64],
    [0, 60_000],
  ],
  vsock: [
    [0, 4096],
    [2, 64],
    [1, connectRequest()],
  ],
  balloon: [
    [0, Uint8Array.of(16, 0, 0, 0)],
    [2, new Uint8Array(10)],
    [3, 4096],
  ],
};

/** A request of that type for the first sector. */
function blockHeader(type: number): Uint8Array {
  const header = new Uint8Array(16);
  header[0] = type;
  return header;
}

/** Who has 10.0.2.2, asked by 10.0.2.15. */
function arpRequest(): Uint8Array {
  const frame = new Uint8Array(42).fill(0xff, 0, 6);
  frame.set([0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1], 6);
  frame.set([0x52, 0x54, 0, 0x12, 0x34, 0x56, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2], 22);
  return frame;
}

/** A request to connect port 5 of guest 3 with port 1024 of the host. */
function connectRequest(): Uint8Array {
  const header = new Uint8Array(44);
  const view = new DataView(header.buffer);
  view.setUint32(0, 3, true);
  view.setUint32(8, 2, true);
  view.setUint32(16, 5, true);
  view.setUint32(20, 1024, true);
  view.setUint16(28, 1, true);
  view.setUint16(30, 1, true);
  view.setUint32(36, 65_536, true);
  return header;
}

type Make = (dice: Dice, clock: VirtualClock) => Promise<VirtioDevice>;

async function started(make: Make) {
  const clock = new VirtualClock();
  const device = await make(new Dice(1), clock);
  const driver = new MockDriver(device).start({ size: 16 });
  return { clock, device, driver };
}

/** Puts a device's requests into its rings; how many there are by queue. */
function send(name: string, driver: MockDriver): Map<number, number> {
  const sent = new Map<number, number>();
  for (const [queue, ...buffers] of IN_FLIGHT[name] ?? []) {
    driver.queue(queue).add(...buffers);
    sent.set(queue, (sent.get(queue) ?? 0) + 1);
  }
  for (const queue of sent.keys()) driver.queue(queue).notify();
  return sent;
}

describe.each(DEVICES)("%s", (name, make) => {
  it("saved with requests in flight, restored in another → each is answered once, or waits there", async () => {
    const first = await started(make);
    const sent = send(name, first.driver);
    const state = structuredClone(first.driver.transport.save());
    // The first is gone, as with its process: what it still does reaches nobody.
    first.driver.transport.control.reset();
    const answered = new Map([...sent.keys()].map((queue) => [queue, 0]));
    const count = (): void => {
      for (const queue of sent.keys()) {
        const done = first.driver.queue(queue).poll().length;
        answered.set(queue, (answered.get(queue) ?? 0) + done);
      }
    };

    const clock = new VirtualClock();
    const device = await make(new Dice(2), clock);
    const second = new MockDriver(device, first.driver.memory);
    second.transport.restore(state);
    second.transport.control.resume();
    await settle(device, clock);
    count();
    const after = second.transport.save().control.queues;
    for (const [queue, total] of sent) {
      const waiting = after[queue]?.progress;
      const untaken = total - (waiting?.nextAvailable ?? 0);
      expect((answered.get(queue) ?? 0) + (waiting?.inFlight.length ?? 0) + untaken).toBe(total);
    }
    expect([...first.driver.faults, ...second.faults]).toEqual([]);
    await second.transport.control.close();
  });

  it("unplugged with requests in flight → closes, and touches neither guest nor rings again", async () => {
    const { clock, device, driver } = await started(make);
    send(name, driver);
    const closed = driver.transport.control.close();
    const { memory } = driver;
    const ram = Buffer.from(memory.bytes.subarray(memory.ramOffset)).toString("latin1");
    const outside = outsideOf(memory);
    await closed;
    await settle(device, clock);
    // A driver that did not notice.
    for (const queue of driver.queues) queue.notify();
    await settle(device, clock);
    expect(Buffer.from(memory.bytes.subarray(memory.ramOffset)).toString("latin1") === ram).toBe(
      true,
    );
    expect(outsideOf(memory) === outside).toBe(true);
    expect(driver.faults).toEqual([]);
    // And again, as the end of a machine may find it.
    await driver.transport.control.close();
  });

  it("requests → counters that grow, and a description that a PCI host can plug in", async () => {
    const { clock, device, driver } = await started(make);
    const before = { ...device.counters };
    expect(Object.values(before)).toEqual(Object.values(before).map(() => 0));
    send(name, driver);
    await settle(device, clock);
    const after = Object.entries(device.counters);
    expect(after.every(([key, value]) => value >= (before[key] ?? Number.NaN))).toBe(true);
    expect(after.some(([, value]) => value > 0)).toBe(true);
    const { memory } = driver;
    const spare = await make(new Dice(3), clock);
    const { description } = new PciTransport({ memory, device: spare });
    expect(description.deviceId).toBe(0x1040 + spare.type);
    expect(description.msixVectors).toBe(spare.queueSizes.length + 1);
    await driver.transport.control.close();
  });
});
