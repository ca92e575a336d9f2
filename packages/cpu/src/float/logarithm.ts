/** F2XM1, FYL2X and FYL2XP1. */
import { bitLength, shiftCount } from "./bits.ts";
import { F80, Kind, f80 } from "./format.ts";
import type { Unpacked } from "./format.ts";
import { round } from "./round.ts";
import { FRACTION, LN2, UNIT, areaTangentFactor, exponentialFactor, times } from "./series.ts";
import { Exception, raise } from "./status.ts";
import type { FloatStatus } from "./status.ts";

/** A logarithm: exact, or with an inexact tail below many good bits. */
interface Logarithm {
  readonly sign: number;
  readonly significand: bigint;
  readonly exponent: number;
  readonly exact: boolean;
}

/** F2XM1: 2^a - 1 for -1 <= a <= 1. Other operands, of which the manual says nothing, come back unchanged. */
export function f80Exponential(a: F80, status: FloatStatus): F80 {
  status.roundedUp = false;
  const x = F80.unpack(a, status);
  if (x.kind >= Kind.quietNaN) return F80.propagate(status, a, a, x, x);
  if (x.kind === Kind.infinity) return x.sign ? f80(1, F80.bias, 1n << 63n) : a;
  if (x.kind === Kind.zero) return a;
  if (x.denormal && raise(status, Exception.denormal)) return F80.indefinite;
  const top = x.exponent + bitLength(x.significand);
  if (top > 0) {
    if (top > 1 || x.significand !== 1n << 63n) {
      raise(status, Exception.precision);
      return a;
    }
    // Exact in theory; the processor rounds it from just below.
    const significand = x.sign ? UNIT >> 1n : UNIT - 1n;
    return round(F80, status, x.sign, (significand << 1n) | 1n, -FRACTION - 1);
  }
  // The argument in fixed point loses nothing that matters beside 1 in the series' factor.
  const drop = -x.exponent - FRACTION;
  let magnitude = 0n;
  if (drop <= 0) magnitude = x.significand << shiftCount(-drop);
  else if (drop < 200) magnitude = x.significand >> shiftCount(drop);
  const exponent = times(magnitude, LN2);
  const factor = exponentialFactor(x.sign ? -exponent : exponent);
  const significand = ((x.significand * times(LN2, factor)) << 1n) | 1n;
  return round(F80, status, x.sign, significand, x.exponent - FRACTION - 1);
}

/** 2 * atanh(numerator / denominator) / ln 2 with the ratio's own exponent; the ratio is at most about 0.18. */
function ratioLogarithm(
  sign: number,
  numerator: bigint,
  denominator: bigint,
  exponent: number,
): Logarithm {
  const shift = Math.max(0, FRACTION + bitLength(denominator) - bitLength(numerator));
  const ratio = (numerator << shiftCount(shift)) / denominator;
  const scale = exponent - shift;
  const drop = -2 * scale - FRACTION;
  const square = drop > 1000 ? 0n : (ratio * ratio) >> shiftCount(drop);
  const factor = (areaTangentFactor(square) << BigInt(FRACTION)) / LN2;
  return { sign, significand: ratio * factor, exponent: scale - FRACTION + 1, exact: false };
}

/** log2 of a positive finite value. */
function logarithm(x: Unpacked): Logarithm {
  const length = bitLength(x.significand);
  let whole = x.exponent + length - 1;
  const one = 1n << BigInt(length - 1);
  if (x.significand === one) {
    return {
      sign: whole < 0 ? 1 : 0,
      significand: BigInt(Math.abs(whole)),
      exponent: 0,
      exact: true,
    };
  }
  // Bring the mantissa into [2/3, 4/3] so that nothing cancels.
  let unit = one;
  if (3n * x.significand > 4n * one) {
    unit = one << 1n;
    whole++;
  }
  const difference = x.significand - unit;
  const sign = difference < 0n ? 1 : 0;
  const part = ratioLogarithm(sign, sign ? -difference : difference, x.significand + unit, 0);
  if (whole === 0) return part;
  const drop = -part.exponent - FRACTION;
  const fraction =
    drop > 0 ? part.significand >> shiftCount(drop) : part.significand << shiftCount(-drop);
  const value = (BigInt(whole) << BigInt(FRACTION)) + (sign ? -fraction : fraction);
  return {
    sign: value < 0n ? 1 : 0,
    significand: value < 0n ? -value : value,
    exponent: -FRACTION,
    exact: false,
  };
}

function product(status: FloatStatus, y: Unpacked, log: Logarithm): F80 {
  const significand = y.significand * log.significand;
  const exponent = y.exponent + log.exponent;
  const sign = y.sign ^ log.sign;
  if (significand === 0n) return F80.zero(sign);
  if (log.exact) {
    const result = round(F80, status, sign, significand, exponent);
    // The processor takes every logarithm for inexact.
    const tiny = (result.signExponent & 0x7fff) === 0;
    raise(status, tiny ? Exception.underflow | Exception.precision : Exception.precision);
    return result;
  }
  return round(F80, status, sign, (significand << 1n) | 1n, exponent - 1);
}

function invalid(status: FloatStatus): F80 {
  raise(status, Exception.invalid);
  return F80.indefinite;
}

/** FYL2X: b * log2(a). */
export function f80LogarithmTimes(b: F80, a: F80, status: FloatStatus): F80 {
  status.roundedUp = false;
  const y = F80.unpack(b, status);
  const x = F80.unpack(a, status);
  if (x.kind >= Kind.quietNaN || y.kind >= Kind.quietNaN) return F80.propagate(status, a, b, x, y);
  if (x.sign === 1 && x.kind !== Kind.zero) return invalid(status);
  if (x.kind === Kind.zero) {
    if (y.kind === Kind.zero) return invalid(status);
    if (y.kind !== Kind.infinity) raise(status, Exception.divideByZero);
    return F80.infinity(y.sign ^ 1);
  }
  if (x.kind === Kind.infinity) {
    if (y.kind === Kind.zero) return invalid(status);
    if (y.denormal && raise(status, Exception.denormal)) return F80.indefinite;
    return F80.infinity(y.sign);
  }
  const log = logarithm(x);
  if (y.kind === Kind.infinity) {
    if (log.significand === 0n) return invalid(status);
    if (x.denormal && raise(status, Exception.denormal)) return F80.indefinite;
    return F80.infinity(y.sign ^ log.sign);
  }
  if ((x.denormal || y.denormal) && raise(status, Exception.denormal)) return F80.indefinite;
  if (y.kind === Kind.zero) return F80.zero(y.sign ^ log.sign);
  return product(status, y, log);
}

/** FYL2XP1: b * log2(a + 1), meant for |a| <= 1 - sqrt(1/2); operands of -1 and less come back unchanged. */
export function f80LogarithmPlusOneTimes(b: F80, a: F80, status: FloatStatus): F80 {
  status.roundedUp = false;
  const y = F80.unpack(b, status);
  const x = F80.unpack(a, status);
  if (x.kind >= Kind.quietNaN || y.kind >= Kind.quietNaN) return F80.propagate(status, a, b, x, y);
  if (x.kind === Kind.zero) {
    if (y.kind === Kind.infinity) return invalid(status);
    if (y.denormal && raise(status, Exception.denormal)) return F80.indefinite;
    return F80.zero(x.sign ^ y.sign);
  }
  if (x.kind === Kind.infinity) {
    if (x.sign === 1 || y.kind === Kind.zero) return invalid(status);
    if (y.denormal && raise(status, Exception.denormal)) return F80.indefinite;
    return F80.infinity(y.sign);
  }
  if ((x.denormal || y.denormal) && raise(status, Exception.denormal)) return F80.indefinite;
  if (y.kind === Kind.infinity) return F80.infinity(x.sign ^ y.sign);
  if (y.kind === Kind.zero) return F80.zero(x.sign ^ y.sign);
  if (x.sign === 1 && x.exponent + bitLength(x.significand) > 0) {
    raise(status, Exception.precision);
    return a;
  }
  const top = x.exponent + bitLength(x.significand);
  if (top <= -1) {
    // x / (2 + x), both scaled by 2 ** -x.exponent; far below 1 the sum is 2.
    const two = powerOfTwoOver(x.exponent);
    const denominator = two === undefined ? 1n : two + (x.sign ? -x.significand : x.significand);
    const log = ratioLogarithm(
      x.sign,
      x.significand,
      denominator,
      two === undefined ? x.exponent - 1 : 0,
    );
    return product(status, y, log);
  }
  if (x.exponent >= 2) return product(status, y, logarithm(x));
  const one = x.exponent >= 0 ? 1n : 1n << BigInt(-x.exponent);
  const significand =
    (x.exponent > 0 ? x.significand << shiftCount(x.exponent) : x.significand) *
      (x.sign ? -1n : 1n) +
    one;
  return product(
    status,
    y,
    logarithm({ ...x, sign: 0, significand, exponent: Math.min(0, x.exponent) }),
  );
}

/** 2 in units of 2 ** exponent, unless it would be absurdly long. */
function powerOfTwoOver(exponent: number): bigint | undefined {
  return exponent < -400 ? undefined : 2n << BigInt(-exponent);
}
