/** Add, subtract, multiply, divide and square root, exact in every format and mode. */
import { bitLength, integerSquareRoot, shiftCount } from "./bits.ts";
import { Kind } from "./format.ts";
import type { Format, Unpacked } from "./format.ts";
import { round } from "./round.ts";
import { Exception, Rounding, raise } from "./status.ts";
import type { FloatStatus } from "./status.ts";

/** Beyond this distance the smaller addend is only a sticky bit. */
const FAR = 136;

function invalid<T>(format: Format<T>, status: FloatStatus): T {
  raise(status, Exception.invalid);
  return format.indefinite;
}

/** Raises denormal operand; true when it is unmasked, so that no result is computed. */
function denormalFault(status: FloatStatus, x: Unpacked, y: Unpacked): boolean {
  return (x.denormal || y.denormal) && raise(status, Exception.denormal);
}

/** `a + b`, or `a - b` with `subtract`. */
export function add<T>(
  format: Format<T>,
  status: FloatStatus,
  a: T,
  b: T,
  precision: number,
  subtract = false,
): T {
  status.roundedUp = false;
  let x = format.unpack(a, status);
  let y = format.unpack(b, status);
  if (x.kind >= Kind.quietNaN || y.kind >= Kind.quietNaN)
    return format.propagate(status, a, b, x, y);
  if (subtract) y.sign ^= 1;
  if (x.kind === Kind.infinity && y.kind === Kind.infinity && x.sign !== y.sign)
    return invalid(format, status);
  if (denormalFault(status, x, y)) return format.indefinite;
  if (x.kind === Kind.infinity) return format.infinity(x.sign);
  if (y.kind === Kind.infinity) return format.infinity(y.sign);
  if (x.kind === Kind.zero && y.kind === Kind.zero) {
    return format.zero(x.sign === y.sign ? x.sign : zeroSign(status));
  }
  if (y.kind === Kind.zero)
    return round(format, status, x.sign, x.significand, x.exponent, precision);
  if (x.kind === Kind.zero)
    return round(format, status, y.sign, y.significand, y.exponent, precision);
  if (x.exponent < y.exponent) [x, y] = [y, x];
  const distance = x.exponent - y.exponent;
  let { exponent } = y;
  let left: bigint;
  let right = y.significand;
  if (distance > FAR) {
    left = x.significand << 72n;
    exponent = x.exponent - 72;
    right = 1n;
  } else left = x.significand << shiftCount(distance);
  if (x.sign === y.sign) return round(format, status, x.sign, left + right, exponent, precision);
  const difference = left - right;
  if (difference === 0n) return format.zero(zeroSign(status));
  if (difference > 0n) return round(format, status, x.sign, difference, exponent, precision);
  return round(format, status, y.sign, -difference, exponent, precision);
}

function zeroSign(status: FloatStatus): number {
  return status.rounding === Rounding.down ? 1 : 0;
}

/** `a * b`. */
export function multiply<T>(
  format: Format<T>,
  status: FloatStatus,
  a: T,
  b: T,
  precision: number,
): T {
  status.roundedUp = false;
  const x = format.unpack(a, status);
  const y = format.unpack(b, status);
  if (x.kind >= Kind.quietNaN || y.kind >= Kind.quietNaN)
    return format.propagate(status, a, b, x, y);
  if (
    (x.kind === Kind.infinity && y.kind === Kind.zero) ||
    (x.kind === Kind.zero && y.kind === Kind.infinity)
  ) {
    return invalid(format, status);
  }
  if (denormalFault(status, x, y)) return format.indefinite;
  const sign = x.sign ^ y.sign;
  if (x.kind === Kind.infinity || y.kind === Kind.infinity) return format.infinity(sign);
  if (x.kind === Kind.zero || y.kind === Kind.zero) return format.zero(sign);
  return round(
    format,
    status,
    sign,
    x.significand * y.significand,
    x.exponent + y.exponent,
    precision,
  );
}

/** `a / b`. */
export function divide<T>(
  format: Format<T>,
  status: FloatStatus,
  a: T,
  b: T,
  precision: number,
): T {
  status.roundedUp = false;
  const x = format.unpack(a, status);
  const y = format.unpack(b, status);
  if (x.kind >= Kind.quietNaN || y.kind >= Kind.quietNaN)
    return format.propagate(status, a, b, x, y);
  const sign = x.sign ^ y.sign;
  if (x.kind === y.kind && x.kind !== Kind.finite) return invalid(format, status);
  if (y.kind === Kind.zero && x.kind === Kind.finite) {
    raise(status, Exception.divideByZero);
    return format.infinity(sign);
  }
  if (denormalFault(status, x, y)) return format.indefinite;
  if (x.kind === Kind.infinity || y.kind === Kind.zero) return format.infinity(sign);
  if (x.kind === Kind.zero || y.kind === Kind.infinity) return format.zero(sign);
  const shift = Math.max(0, precision + 2 + bitLength(y.significand) - bitLength(x.significand));
  const numerator = x.significand << shiftCount(shift);
  const quotient = numerator / y.significand;
  const exact = quotient * y.significand === numerator;
  const exponent = x.exponent - y.exponent - shift;
  if (exact) return round(format, status, sign, quotient, exponent, precision);
  return round(format, status, sign, (quotient << 1n) | 1n, exponent - 1, precision);
}

/** The square root of `a`. */
export function squareRoot<T>(format: Format<T>, status: FloatStatus, a: T, precision: number): T {
  status.roundedUp = false;
  const x = format.unpack(a, status);
  if (x.kind >= Kind.quietNaN) return format.propagate(status, a, a, x, x);
  if (x.kind === Kind.zero) return format.zero(x.sign);
  if (x.sign === 1) return invalid(format, status);
  if (x.denormal && raise(status, Exception.denormal)) return format.indefinite;
  if (x.kind === Kind.infinity) return format.infinity(0);
  let shift = Math.max(0, 2 * precision + 4 - bitLength(x.significand));
  if (((x.exponent - shift) & 1) !== 0) shift++;
  const radicand = x.significand << shiftCount(shift);
  const root = integerSquareRoot(radicand);
  const exponent = (x.exponent - shift) / 2;
  if (root * root === radicand) return round(format, status, 0, root, exponent, precision);
  return round(format, status, 0, (root << 1n) | 1n, exponent - 1, precision);
}
