import { describe, expect, test } from "vitest";
import { CASES } from "./cases.ts";
import { VcpuMachine } from "./vcpu-machine.ts";
import { runCase } from "./world.ts";

describe.each([0, "eager"] as const)("tier %s", (tier) => {
  const machine = new VcpuMachine(2, undefined, tier);
  describe.each(Object.entries(CASES))("%s", (_, cases) => {
    test.each(cases.map((item) => [item.name, item] as const))("%s", (__, item) => {
      expect(runCase(machine, item)).toEqual([]);
    });
  });
});

test.each([0, "eager"] as const)(
  "tier %s: every case with the RAM in a memory of 64-bit addresses, as large guests have it → the same",
  (tier) => {
    const wide = new VcpuMachine(2, undefined, tier, true);
    const wrong = Object.values(CASES)
      .flat()
      .map((item) => [item.name, runCase(wide, item)] as const)
      .filter(([, found]) => found.length > 0);
    expect(wrong).toEqual([]);
  },
  60_000,
);
