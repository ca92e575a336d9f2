import { SeededEntropy, VirtualClock } from "@queztl/memory";
import { describe, expect, it } from "vitest";
import { MockDriver, turn } from "../testing/driver.ts";
import { RngDevice } from "./device.ts";

describe("RngDevice", () => {
  it("a buffer → filled with the entropy given", () => {
    const driver = new MockDriver(new RngDevice({ entropy: new SeededEntropy(7) })).start();
    driver.queue(0).send(40);
    const seeded = new SeededEntropy(7);
    const expected = new Uint8Array(
      Uint32Array.from({ length: 10 }, () => seeded.nextUint32()).buffer,
    );
    const [done] = driver.queue(0).poll();
    expect([done?.written, done?.data]).toEqual([40, expected]);
  });

  it("a huge buffer → 64 KiB at most", () => {
    const driver = new MockDriver(new RngDevice()).start();
    driver.queue(0).send(1024 * 1024);
    expect(driver.queue(0).poll()[0]?.written).toBe(65536);
  });

  it("a buffer to read from → 0 bytes, nothing else", () => {
    const driver = new MockDriver(new RngDevice()).start();
    driver.queue(0).send(new Uint8Array(16));
    expect(driver.queue(0).poll()[0]?.written).toBe(0);
  });

  it("a limit → later requests wait in the ring for guest time", () => {
    const clock = new VirtualClock();
    const device = new RngDevice({ clock, limit: { perSecond: 100, burst: 10 } });
    const driver = new MockDriver(device).start();
    driver.queue(0).send(60);
    driver.queue(0).send(60);
    expect(driver.queue(0).poll()).toHaveLength(1);
    expect(driver.transport.save().control.queues[0]?.progress?.inFlight).toHaveLength(1);
    clock.advanceTo(1e9);
    expect(driver.queue(0).poll()).toHaveLength(1);
  });

  it("a limit without a clock → QZ_VIRTIO_OPTIONS", () => {
    expect(() => new RngDevice({ limit: { perSecond: 1 } })).toThrow(/needs a clock/);
  });

  it("a guest on another vCPU that refills the ring for ever → the monitor gets its turns", async () => {
    const device = new RngDevice({
      entropy: { fill: () => void queue.add(8) },
    });
    const driver = new MockDriver(device).start({ size: 4 });
    const queue = driver.queue(0);
    // Each answer is followed at once by a new request with the same head.
    queue.add = () => {
      queue.offer(0);
      return 0;
    };
    queue.writeDescriptor(queue.descriptors, { address: 0x200000, length: 8, flags: 2, next: 0 });
    queue.offer(0);
    let interleaved = 0;
    const before = device.counters.requests;
    device.notify();
    for (let i = 0; i < 3; i++) {
      await turn();
      interleaved++;
    }
    driver.write(0x70, 0);
    expect(interleaved).toBe(3);
    expect(device.counters.requests - before).toBeLessThan(100);
  });
});
