import { GuestMemory, VirtualClock } from "@queztl/memory";
import { describe, expect, it } from "vitest";
import { MockDriver } from "../../src/testing/driver.ts";
import type { DriverQueue } from "../../src/testing/driver.ts";
import {
  DEVICES,
  FUZZ_TIMEOUT,
  expectGuestFaults,
  expectSame,
  fuzz,
  outsideOf,
  settle,
} from "./harness.ts";
import type { Dice } from "./harness.ts";

const RAM = 1024 * 1024;

/** Fills descriptors, and tables for indirect ones, with what a hostile driver might. */
function scatter(dice: Dice, driver: MockDriver, queue: DriverQueue): void {
  const table = 0x80000;
  for (let i = 0; i < 12; i++) {
    const inTable = dice.chance(3);
    const slot = dice.below(queue.size);
    const address = dice.chance(6) ? dice.nasty() * dice.pick([1, 4096, 2 ** 21]) : dice.below(RAM);
    queue.writeDescriptor((inTable ? table : queue.descriptors) + 16 * slot, {
      address: dice.chance(4) ? table : address,
      length: dice.chance(4) ? dice.nasty() : dice.pick([1, 12, 16, 44, 512, 513, 4096]),
      flags: dice.chance(8) ? dice.below(65536) : dice.below(8),
      next: dice.chance(8) ? dice.below(65536) : dice.below(queue.size),
    });
  }
  for (let i = dice.below(6); i >= 0; i--)
    queue.offer(dice.chance(9) ? dice.below(65536) : dice.below(queue.size));
  if (dice.chance(10)) driver.memory.writeUint16(queue.driverRing + 2, dice.below(65536));
}

describe("random rings and registers", () => {
  it.each(DEVICES)(
    "%s → guest faults at most, nothing outside RAM touched",
    async (_, make) => {
      const rounds = await fuzz(60, async (dice) => {
        const clock = new VirtualClock();
        const device = await make(dice, clock);
        const memory = new GuestMemory({ ramBytes: RAM });
        const driver = new MockDriver(device, memory, { awaitsReset: dice.chance(2) });
        const before = outsideOf(memory);
        driver.start({ without: dice.chance(2) ? 0n : 1n << 29n, size: 16 });
        for (let step = 0; step < 12; step++) {
          if (driver.needsReset) driver.start({ size: 16 });
          const queue = dice.pick(driver.queues);
          scatter(dice, driver, queue);
          queue.notify();
          if (dice.chance(6)) driver.write(dice.below(64) * 4, dice.nasty());
          if (dice.chance(6))
            driver.writeConfig(dice.below(70), dice.pick([1, 2, 4]), dice.nasty());
          if (dice.chance(8)) driver.transport.restore(structuredClone(driver.transport.save()));
          if (dice.chance(2)) driver.transport.control.resume();
          if (dice.chance(3)) await settle(device, clock);
        }
        driver.write(0x70, 0);
        await settle(device, clock);
        await driver.transport.control.close();
        expectGuestFaults(driver.faults);
        expectSame(before, outsideOf(memory));
      });
      expect(rounds).toBeGreaterThanOrEqual(60);
    },
    FUZZ_TIMEOUT,
  );

  it(
    "queues placed anywhere → guest faults at most",
    async () => {
      const rounds = await fuzz(300, async (dice) => {
        const clock = new VirtualClock();
        const [, make] = dice.pick(DEVICES);
        const device = await make(dice, clock);
        const memory = new GuestMemory({ ramBytes: RAM });
        const driver = new MockDriver(device, memory);
        const before = outsideOf(memory);
        driver.negotiate(dice.chance(2) ? 0n : driver.offered);
        const place = (align: number): number =>
          Math.floor((dice.chance(3) ? dice.nasty() * dice.nasty() : dice.below(RAM)) / align) *
          align;
        driver.placeQueue({
          index: dice.below(3),
          size: dice.pick([1, 2, 16, 64, dice.nasty()]),
          descriptors: place(dice.pick([1, 16])),
          driverRing: place(dice.pick([1, 2])),
          deviceRing: place(dice.pick([1, 4])),
        });
        driver.write(0x70, 15);
        for (let queue = 0; queue < 3; queue++) driver.notify(queue);
        await settle(device, clock);
        await driver.transport.control.close();
        expectGuestFaults(driver.faults);
        expectSame(before, outsideOf(memory));
      });
      expect(rounds).toBeGreaterThanOrEqual(300);
    },
    FUZZ_TIMEOUT,
  );
});
