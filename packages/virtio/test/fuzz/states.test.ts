import { isQueztlError } from "@queztl/errors";
import { VirtualClock } from "@queztl/memory";
import { describe, expect, it } from "vitest";
import { PciTransport } from "../../src/index.ts";
import { MockDriver } from "../../src/testing/driver.ts";
import { DEVICES, FUZZ_TIMEOUT, fuzz, settle } from "./harness.ts";
import type { Dice } from "./harness.ts";

const JUNK = [
  undefined,
  null,
  -1,
  1.5,
  Number.NaN,
  2 ** 40,
  "x",
  true,
  7n,
  1n << 80n,
  [],
  {},
  [[]],
];

/** Replaces one value somewhere in a state. */
function damage(state: unknown, dice: Dice): void {
  let at = state as Record<string, unknown>;
  for (;;) {
    const keys = Object.keys(at);
    const key = dice.pick(keys);
    const below = at[key];
    const inner = typeof below === "object" && below !== null && !ArrayBuffer.isView(below);
    if (inner && Object.keys(below).length > 0 && !dice.chance(4)) {
      at = below as Record<string, unknown>;
      continue;
    }
    at[key] = dice.pick(JUNK);
    return;
  }
}

describe("damaged states", () => {
  it.each(DEVICES)(
    "%s → restored, or a coded error",
    async (_, make) => {
      const rounds = await fuzz(150, async (dice) => {
        const clock = new VirtualClock();
        const first = new MockDriver(await make(dice, clock)).start({ size: 16 });
        for (const queue of first.queues) queue.send(dice.bytes(44), 100);
        const pci = dice.chance(2);
        const device = await make(dice, clock);
        const { memory } = first;
        const second = new MockDriver(device, memory);
        const transport = pci ? new PciTransport({ memory, device }) : second.transport;
        const control = first.transport.save().control;
        const state = structuredClone(
          pci ? { ...transport.save(), control } : first.transport.save(),
        );
        damage(state, dice);
        try {
          transport.restore(state as never);
          transport.control.resume();
        } catch (error) {
          if (!isQueztlError(error)) throw error;
        }
        await settle(device, clock);
        await transport.control.close();
      });
      expect(rounds).toBeGreaterThanOrEqual(150);
    },
    FUZZ_TIMEOUT,
  );
});
