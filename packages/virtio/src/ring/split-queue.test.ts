import { isQueztlError } from "@queztl/errors";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { GuestMemory } from "@queztl/memory";
import { Feature } from "../device.ts";
import { MockDriver, pattern } from "../testing/driver.ts";
import type { DriverQueue } from "../testing/driver.ts";
import { EchoDevice } from "../testing/echo-device.ts";
import { SplitQueue } from "./split-queue.ts";

function started(options: { without?: bigint; size?: number } = {}) {
  const device = new EchoDevice();
  const driver = new MockDriver(device).start(options);
  return { device, driver, queue: driver.queue(0) };
}

/** Places raw descriptors from slot 0 and offers slot 0. */
function offerRaw(
  queue: DriverQueue,
  rows: readonly { address?: number; length?: number; flags?: number; next?: number }[],
  table = queue.descriptors,
): void {
  rows.forEach((row, i) =>
    queue.writeDescriptor(table + 16 * i, {
      address: 0x200000,
      length: 16,
      flags: 0,
      next: 0,
      ...row,
    }),
  );
  if (table === queue.descriptors) {
    queue.offer(0);
    queue.notify();
  }
}

/** The one fault that ended in DEVICE_NEEDS_RESET: its code and message. */
function faultOf(driver: MockDriver): string {
  const [fault, ...others] = driver.faults;
  if (!driver.needsReset || others.length > 0 || !isQueztlError(fault)) return "no single fault";
  return `${fault.code} ${fault.message}`;
}

describe("requests", () => {
  it("buffers of any shape → come back as they went, direct and indirect", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 9000 }), { minLength: 1, maxLength: 6 }),
        fc.constantFrom(1, 3, Infinity),
        (parts, indirectFrom) => {
          const { queue } = started();
          queue.indirectFrom = indirectFrom;
          const total = parts.reduce((sum, part) => sum + part.length, 0);
          const first = Math.max(1, total >> 1);
          queue.send(...parts, first, total - first + 1);
          const [done] = queue.poll();
          expect(done?.written).toBe(total);
          expect(
            Buffer.compare(Buffer.concat(parts), done?.data.subarray(0, total) ?? pattern(1)),
          ).toBe(0);
        },
      ),
      { numRuns: 30 },
    );
  });

  it("the ring's indices wrap at 65536 → requests go on", () => {
    const { driver, queue } = started({ size: 2 });
    for (let i = 0; i < 66_000; i++) {
      queue.send(Uint8Array.of(i), 1);
      expect(queue.poll()[0]?.data[0]).toBe(i & 0xff);
    }
    expect(driver.faults).toEqual([]);
  });

  it("a table of as many descriptors as the queue is offered with → accepted", () => {
    const { queue } = started({ size: 16 });
    queue.indirectFrom = 1;
    const parts = Array.from({ length: 63 }, (_, i) => Uint8Array.of(i));
    queue.send(...parts, 63);
    expect(queue.poll()[0]?.written).toBe(63);
  });
});

describe("notification", () => {
  it("no EVENT_IDX → each batch interrupts unless the driver says not to", () => {
    const { driver, queue } = started();
    queue.send(pattern(4), 4);
    expect(driver.interrupts).toBe(1);
    expect(driver.acknowledge()).toBe(1);
    driver.memory.writeUint16(queue.driverRing, 1);
    queue.send(pattern(4), 4);
    expect(driver.interrupts).toBe(1);
  });

  it("EVENT_IDX → interrupts only when the used index passes the event", () => {
    const { driver, queue } = started({ without: 0n });
    queue.setUsedEvent(2);
    for (let i = 0; i < 3; i++) {
      expect(driver.interrupts).toBe(0);
      queue.send(pattern(4), 4);
    }
    expect(driver.interrupts).toBe(1);
    driver.acknowledge();
    queue.send(pattern(4), 4);
    expect(driver.interrupts).toBe(1);
  });

  it("EVENT_IDX, the queue drained → asks to be notified of the next request", () => {
    const { queue } = started({ without: 0n });
    queue.send(pattern(4), 4);
    queue.send(pattern(4), 4);
    expect(queue.availableEvent).toBe(2);
  });
});

describe("a hostile driver", () => {
  it("a descriptor loop → DEVICE_NEEDS_RESET", () => {
    const { driver, queue } = started();
    offerRaw(queue, [
      { flags: 1, next: 1 },
      { flags: 1, next: 0 },
    ]);
    expect(faultOf(driver)).toMatch(/^QZ_VIRTIO_CHAIN .*more than 64 descriptors/);
  });

  it("a loop inside an indirect table → DEVICE_NEEDS_RESET", () => {
    const { driver, queue } = started();
    const table = 0x300000;
    offerRaw(
      queue,
      [
        { flags: 1, next: 1 },
        { flags: 1, next: 0 },
      ],
      table,
    );
    offerRaw(queue, [{ address: table, length: 32, flags: 4 }]);
    expect(faultOf(driver)).toMatch(/^QZ_VIRTIO_CHAIN .*more than 64 descriptors/);
  });

  it("an indirect table of more entries than the queue → DEVICE_NEEDS_RESET", () => {
    const { driver, queue } = started();
    const table = 0x300000;
    const rows = Array.from({ length: 65 }, (_, i) => ({ flags: i < 64 ? 1 : 0, next: i + 1 }));
    offerRaw(queue, rows, table);
    offerRaw(queue, [{ address: table, length: 65 * 16, flags: 4 }]);
    expect(faultOf(driver)).toMatch(/^QZ_VIRTIO_CHAIN .*more than 64 descriptors/);
  });

  it("nested INDIRECT → DEVICE_NEEDS_RESET", () => {
    const { driver, queue } = started();
    const table = 0x300000;
    offerRaw(queue, [{ address: table, length: 16, flags: 4 }], table);
    offerRaw(queue, [{ address: table, length: 16, flags: 4 }]);
    expect(faultOf(driver)).toMatch(/^QZ_VIRTIO_CHAIN .*holds an indirect descriptor/);
  });

  it("INDIRECT with NEXT → DEVICE_NEEDS_RESET", () => {
    const { driver, queue } = started();
    offerRaw(queue, [{ length: 16, flags: 5 }]);
    expect(faultOf(driver)).toMatch(/^QZ_VIRTIO_CHAIN .*has a next one/);
  });

  it.each([0, 15, 24])("an indirect table of %i bytes → DEVICE_NEEDS_RESET", (length) => {
    const { driver, queue } = started();
    offerRaw(queue, [{ length, flags: 4 }]);
    expect(faultOf(driver)).toMatch(/^QZ_VIRTIO_CHAIN .*no whole descriptors/);
  });

  it("INDIRECT not negotiated → DEVICE_NEEDS_RESET", () => {
    const { driver, queue } = started({ without: Feature.RingIndirectDesc });
    offerRaw(queue, [{ flags: 4 }]);
    expect(faultOf(driver)).toMatch(/^QZ_VIRTIO_CHAIN .*not negotiated/);
  });

  it.each([
    ["past the end of RAM", 8 * 1024 * 1024 - 8, 16],
    ["beyond the address space", 2 ** 60, 16],
    ["longer than RAM", 0, 0xffffffff],
  ])("a buffer %s → DEVICE_NEEDS_RESET", (_, address, length) => {
    const { driver, queue } = started();
    offerRaw(queue, [{ address, length, flags: 2 }]);
    expect(faultOf(driver)).toMatch(/^QZ_VIRTIO_CHAIN .*not wholly inside RAM/);
  });

  it("a chain of 512 MiB over the same 8 MiB of RAM → served without holding it all", () => {
    const { driver, queue } = started();
    const table = 0x300000;
    // 64 buffers of 8 MiB are 512 MiB: below the limit; the device itself then has to cope.
    const rows = Array.from({ length: 64 }, (_, i) => ({
      address: 0,
      length: 8 * 1024 * 1024,
      flags: i < 63 ? 3 : 2,
      next: i + 1,
    }));
    offerRaw(queue, rows, table);
    offerRaw(queue, [{ address: table, length: 64 * 16, flags: 4 }]);
    expect(driver.needsReset).toBe(false);
    expect(queue.inspectUsedIndex()).toBe(1);
  });

  it("a readable buffer after a writable one → DEVICE_NEEDS_RESET", () => {
    const { driver, queue } = started();
    offerRaw(queue, [{ flags: 3, next: 1 }, { flags: 0 }]);
    expect(faultOf(driver)).toMatch(/^QZ_VIRTIO_CHAIN .*readable buffer follows/);
  });

  it("a next descriptor outside the table → DEVICE_NEEDS_RESET", () => {
    const { driver, queue } = started();
    offerRaw(queue, [{ flags: 1, next: 64 }]);
    expect(faultOf(driver)).toMatch(/^QZ_VIRTIO_CHAIN .*outside its table/);
  });

  it("a head that is no descriptor → DEVICE_NEEDS_RESET", () => {
    const { driver, queue } = started();
    queue.offer(999);
    queue.notify();
    expect(faultOf(driver)).toMatch(/^QZ_VIRTIO_RING .*head 999/);
  });

  it("the same head twice while in flight → DEVICE_NEEDS_RESET", () => {
    const { device, driver, queue } = started();
    device.answers = false;
    queue.writeDescriptor(queue.descriptors, {
      address: 0x200000,
      length: 16,
      flags: 0,
      next: 0,
    });
    queue.offer(0);
    queue.offer(0);
    queue.notify();
    expect(faultOf(driver)).toMatch(/^QZ_VIRTIO_RING .*in flight already/);
  });

  it("an available index far ahead → DEVICE_NEEDS_RESET", () => {
    const { driver, queue } = started();
    driver.memory.writeUint16(queue.driverRing + 2, 65);
    queue.notify();
    expect(faultOf(driver)).toMatch(/^QZ_VIRTIO_RING .*ran 65 ahead/);
  });

  it("a descriptor changed after the device took the chain → the first reading counts", () => {
    const memory = new GuestMemory({ ramBytes: 64 * 1024 });
    const queue = new SplitQueue(
      memory,
      { index: 0, size: 4, descriptors: 0x1000, driverRing: 0x2000, deviceRing: 0x3000 },
      { indirect: true, eventIdx: false, maxSize: 4, interrupt: () => {} },
    );
    memory.writeUint64(0x1000, 0x4000n);
    memory.writeUint32(0x1008, 4);
    memory.writeBytes(0x4000, Uint8Array.of(1, 2, 3, 4));
    memory.writeUint16(0x2002, 1);
    const chain = queue.pop();
    memory.writeUint64(0x1000, 0xffff_ffff_ffffn);
    memory.writeUint32(0x1008, 0xffff_ffff);
    expect(chain?.readableBytes).toBe(4);
    expect([...(chain?.readBytes(0, 4) ?? [])]).toEqual([1, 2, 3, 4]);
  });

  it("a chain of 4 GiB → refused", () => {
    const memory = new GuestMemory({ ramBytes: 64 * 1024 * 1024 });
    const queue = new SplitQueue(
      memory,
      { index: 0, size: 128, descriptors: 0x1000, driverRing: 0x2000, deviceRing: 0x3000 },
      { indirect: true, eventIdx: false, maxSize: 128, interrupt: () => {} },
    );
    for (let i = 0; i < 64; i++) {
      memory.writeUint32(0x1008 + 16 * i, 64 * 1024 * 1024);
      memory.writeUint16(0x100c + 16 * i, 1);
      memory.writeUint16(0x100e + 16 * i, i + 1);
    }
    memory.writeUint16(0x2002, 1);
    expect(() => queue.pop()).toThrow(/4 GiB/);
  });

  it("a request that ends after the reset → touches neither buffers nor rings", () => {
    const { device, driver, queue } = started();
    device.answers = false;
    queue.send(pattern(16), 16);
    const before = driver.memory.readBytes(0, driver.memory.ramBytes);
    const held = device.held;
    driver.write(0x70, 0);
    held?.chain.write(0, pattern(16, 7));
    held?.queue.complete(held.chain, 16);
    held?.queue.publish();
    expect(Buffer.compare(driver.memory.readBytes(0, driver.memory.ramBytes), before)).toBe(0);
  });
});
