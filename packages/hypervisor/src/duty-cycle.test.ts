import fc from "fast-check";
import { isQueztlError } from "@queztl/errors";
import { expect, test } from "vitest";
import { DutyCycle } from "./duty-cycle.ts";

test("a machine that always wants to run → its share of the time, and the first burst", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0.01, max: 0.99, noNaN: true }),
      fc.integer({ min: 1, max: 20 }),
      (share, slice) => {
        let now = 0;
        let ran = 0;
        const duty = new DutyCycle(share, () => now);
        while (now < 100_000) {
          const rest = duty.restMs();
          now += rest > 0 ? rest : slice;
          if (rest > 0) continue;
          ran += slice;
          duty.ran(slice);
        }
        expect(ran).toBeGreaterThanOrEqual(share * 100_000 - slice - 1);
        expect(ran).toBeLessThanOrEqual(share * now + 50 + slice);
      },
    ),
  );
});

test("a share that is none → refused", () => {
  for (const share of [0, -1, NaN, Infinity])
    expect(() => new DutyCycle(share)).toThrow(
      expect.toSatisfy((error) => isQueztlError(error, "QZ_HYPERVISOR_OPTIONS")),
    );
});
