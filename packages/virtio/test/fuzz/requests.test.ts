import { VirtualClock } from "@queztl/memory";
import { describe, expect, it } from "vitest";
import { MockDriver } from "../../src/testing/driver.ts";
import { DEVICES, FUZZ_TIMEOUT, expectGuestFaults, fuzz, settle } from "./harness.ts";
import type { Dice } from "./harness.ts";

/** Requests as drivers make them, by device: which queue, and buffers to read and to write. */
const REQUESTS: Readonly<Record<string, (dice: Dice) => [number, ...(Uint8Array | number)[]]>> = {
  block: (dice) => {
    const header = words(16, [
      dice.pick([0, 1, 4, 8, 11, 13, dice.nasty()]),
      0,
      dice.below(3000),
      dice.chance(9) ? dice.nasty() : 0,
    ]);
    const data = dice.pick([512, 4096, 16, dice.below(9000)]);
    return [dice.below(2), header, ...(dice.chance(2) ? [dice.bytes(data), 1] : [data, 1])];
  },
  net: (dice) => {
    if (dice.chance(4))
      return [2, Uint8Array.of(dice.below(6), dice.below(3)), dice.bytes(dice.below(30)), 1];
    if (dice.chance(3)) return [0, dice.pick([12, 1526, 65562, dice.below(3000)])];
    const header = new Uint8Array(12);
    if (dice.chance(2)) {
      header.set([dice.below(3), dice.pick([0, 1, 3, 4, 5, 0x81]), 54, 0, 0xb4, 5, 34, 0, 16, 0]);
      if (dice.chance(3)) dice.mutate(header);
    }
    const frame = dice.bytes(dice.pick([34, 54, 60, 1514, 9000, 65549]));
    frame.set([
      0x52,
      0x55,
      0x0a,
      0,
      2,
      2,
      0x52,
      0x54,
      0,
      0x12,
      0x34,
      0x56,
      8,
      dice.pick([0, 0, 6]),
    ]);
    frame.set(
      [
        0x45,
        0,
        (frame.length - 14) >> 8,
        (frame.length - 14) & 255,
        0,
        1,
        0x40,
        0,
        64,
        dice.pick([1, 6, 17]),
      ],
      14,
    );
    if (frame.length >= 54) frame.set([10, 0, 2, 15, 1, 1, 1, 1], 26);
    if (dice.chance(4)) dice.mutate(frame);
    return [1, header, frame];
  },
  console: (dice) => {
    if (dice.chance(2)) {
      const message = words(8, [
        dice.pick([0, 1, 2, dice.nasty()]),
        dice.below(9) + 65536 * dice.below(3),
      ]);
      return [3, message];
    }
    return dice.chance(2)
      ? [dice.pick([0, 2, 4]), dice.below(200)]
      : [dice.pick([1, 5]), dice.bytes(dice.below(5000))];
  },
  rng: (dice) => [0, dice.below(70_000)],
  vsock: (dice) => {
    if (dice.chance(3)) return [dice.pick([0, 2]), dice.pick([44, 4096, dice.below(100)])];
    const data = dice.bytes(dice.pick([0, 0, 10, 4096, 60_000]));
    const header = words(44, [
      dice.chance(9) ? dice.nasty() : 3,
      0,
      dice.chance(9) ? dice.nasty() : 2,
      0,
      dice.below(3),
      dice.pick([1024, 1024, 9]),
      dice.chance(9) ? dice.nasty() : data.length,
      1 + 65536 * dice.below(9),
      dice.below(4),
      dice.pick([0, 65536, dice.nasty()]),
      dice.pick([0, dice.nasty()]),
    ]);
    return data.length > 0 ? [1, header, data] : [1, header];
  },
  balloon: (dice) => {
    const queue = dice.below(4);
    if (queue === 3) return [3, dice.pick([4096, 8192, dice.below(9000)]), 4096];
    return [queue, dice.bytes(dice.pick([4, 1024, 100, dice.below(2000)]))];
  },
};

function words(bytes: number, values: readonly number[]): Uint8Array {
  const out = new Uint8Array(bytes);
  values.forEach((value, i) => new DataView(out.buffer).setUint32(4 * i, value >>> 0, true));
  return out;
}

describe("almost valid requests", () => {
  it.each(DEVICES)(
    "%s → answers or guest faults, and it comes to rest",
    async (name, make) => {
      const rounds = await fuzz(40, async (dice) => {
        const clock = new VirtualClock();
        const device = await make(dice, clock);
        const driver = new MockDriver(device, undefined, { awaitsReset: dice.chance(2) }).start({
          size: 32,
        });
        for (let step = 0; step < 40; step++) {
          if (driver.needsReset) driver.start({ size: 32 });
          const [index, ...buffers] = REQUESTS[name]?.(dice) ?? [0];
          const queue = driver.queue(index);
          queue.indirectFrom = dice.pick([1, 3, Infinity]);
          if (queue.room >= buffers.length && buffers.length > 0) queue.send(...buffers);
          for (const each of driver.queues) each.poll();
          if (dice.chance(5)) await settle(device, clock);
        }
        await settle(device, clock);
        await driver.transport.control.close();
        expectGuestFaults(driver.faults);
      });
      expect(rounds).toBeGreaterThanOrEqual(40);
    },
    FUZZ_TIMEOUT,
  );
});
