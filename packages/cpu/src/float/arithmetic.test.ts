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

/** JavaScript's own arithmetic rounds to nearest; its NaNs carry no payload to compare. */
function same(result: bigint, expected: number): boolean {
  scratch.setBigUint64(0, result);
  return Object.is(scratch.getFloat64(0), expected);
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
  test("any two doubles → what JavaScript computes", () => {
    fc.assert(
      fc.property(double, double, (a, b) => {
        const status = createFloatStatus();
        const [x, y] = [bits(a), bits(b)];
        return (
          same(f64Add(x, y, status), a + b) &&
          same(f64Subtract(x, y, status), a - b) &&
          same(f64Multiply(x, y, status), a * b) &&
          same(f64Divide(x, y, status), a / b) &&
          same(f64SquareRoot(x, status), Math.sqrt(a))
        );
      }),
    );
  });

  test("any two doubles → ordered as JavaScript orders them", () => {
    fc.assert(
      fc.property(double, double, (a, b) => {
        const ordering = f64Compare(bits(a), bits(b), false, createFloatStatus());
        if (Number.isNaN(a) || Number.isNaN(b)) return ordering === 2;
        return Math.sign(ordering) === (a < b ? -1 : a > b ? 1 : 0);
      }),
    );
  });

  test("any double → Math.fround, and truncated to an integer", () => {
    fc.assert(
      fc.property(double, (a) => {
        const status = createFloatStatus();
        const single = new DataView(new ArrayBuffer(4));
        single.setUint32(0, f64ToF32(bits(a), status));
        const integer = f64ToInteger(bits(a), 64, true, status);
        const inRange = Math.abs(a) < 2 ** 63;
        return (
          Object.is(single.getFloat32(0), Math.fround(a)) &&
          integer === (inRange ? BigInt(Math.trunc(a)) : -(1n << 63n))
        );
      }),
    );
  });

  test("any 64-bit integer → the nearest double", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }), (value) =>
        same(f64FromInteger(value, createFloatStatus()), Number(value)),
      ),
    );
  });
});

describe("integer helpers", () => {
  test("any integer → its bit length and square root", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 1n << 2500n }), fc.nat(2500), (value, shift) => {
        const small = value >> BigInt(shift);
        const root = integerSquareRoot(small);
        const length = small === 0n ? 0 : small.toString(2).length;
        return bitLength(small) === length && root * root <= small && (root + 1n) ** 2n > small;
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
