import { describe, expect, test } from "vitest";
import fc from "fast-check";
import { bitLength, integerSquareRoot } from "./bits.ts";
import { createFloatStatus } from "./status.ts";
import {
  f64Add,
  f64Compare,
  f64Divide,
  f64FromInteger,
  f64Multiply,
  f64SquareRoot,
  f64Subtract,
  f64ToF32,
  f64ToInteger,
} from "./sse.ts";

const scratch = new DataView(new ArrayBuffer(8));

function bits(value: number): bigint {
  scratch.setFloat64(0, value);
  return scratch.getBigUint64(0);
}

function value(result: bigint): number {
  scratch.setBigUint64(0, result);
  return scratch.getFloat64(0);
}

const anyDouble = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map((value) => {
  scratch.setBigUint64(0, value);
  return scratch.getFloat64(0);
});
const double = fc.oneof(
  fc.double(),
  anyDouble,
  fc.constantFrom(5e-324, 2 ** -1022, Number.MAX_VALUE),
);

describe("binary64 arithmetic", () => {
  // JavaScript rounds to nearest as well; its NaNs have no payload to compare, which toBe does not see.
  test("any two doubles → what JavaScript computes", () => {
    fc.assert(
      fc.property(double, double, (a, b) => {
        const status = createFloatStatus();
        const [x, y] = [bits(a), bits(b)];
        expect(value(f64Add(x, y, status))).toBe(a + b);
        expect(value(f64Subtract(x, y, status))).toBe(a - b);
        expect(value(f64Multiply(x, y, status))).toBe(a * b);
        expect(value(f64Divide(x, y, status))).toBe(a / b);
        expect(value(f64SquareRoot(x, status))).toBe(Math.sqrt(a));
      }),
    );
  });

  test("any two doubles → ordered as JavaScript orders them", () => {
    fc.assert(
      fc.property(double, double, (a, b) => {
        const unordered = Number.isNaN(a) || Number.isNaN(b);
        const ordered = a < b ? -1 : Number(a > b);
        const ordering = f64Compare(bits(a), bits(b), false, createFloatStatus());
        expect(ordering).toBe(unordered ? 2 : ordered);
      }),
    );
  });

  test("any double → Math.fround, and truncated to an integer", () => {
    fc.assert(
      fc.property(double, (a) => {
        const status = createFloatStatus();
        const single = new DataView(new ArrayBuffer(4));
        single.setUint32(0, f64ToF32(bits(a), status));
        const integer = Math.abs(a) < 2 ** 63 ? BigInt(Math.trunc(a)) : -(1n << 63n);
        expect(single.getFloat32(0)).toBe(Math.fround(a));
        expect(f64ToInteger(bits(a), 64, true, status)).toBe(integer);
      }),
    );
  });

  test("any 64-bit integer → the nearest double", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }), (integer) => {
        expect(value(f64FromInteger(integer, createFloatStatus()))).toBe(Number(integer));
      }),
    );
  });
});

describe("integer helpers", () => {
  test("any integer → its bit length and square root", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 1n << 2500n }), fc.nat(2500), (large, shift) => {
        const integer = large >> BigInt(shift);
        const root = integerSquareRoot(integer);
        expect(bitLength(integer)).toBe(integer === 0n ? 0 : integer.toString(2).length);
        expect(root * root <= integer && (root + 1n) ** 2n > integer).toBe(true);
      }),
    );
  });

  test("all ones and powers of two → exact bit lengths", () => {
    for (let length = 1; length < 1200; length++) {
      expect(bitLength((1n << BigInt(length)) - 1n)).toBe(length);
      expect(bitLength(1n << BigInt(length - 1))).toBe(length);
    }
  });
});
