/** Conversions between formats, to and from integers, and to integral values. */
import { bitLength, powerOfTwo, shiftCount } from "./bits.ts";
import { F80, Kind, f80 } from "./format.ts";
import type { F80 as F80Value, Format } from "./format.ts";
import { round, roundSignificand } from "./round.ts";
import { Exception, raise } from "./status.ts";
import type { FloatStatus, RoundingMode } from "./status.ts";

/** `value` in another format. `denormals`: a denormal operand raises (loads and SSE conversions, not x87 stores). */
export function convert<S, T>(
  from: Format<S>,
  to: Format<T>,
  status: FloatStatus,
  value: S,
  denormals = true,
): T {
  status.roundedUp = false;
  const x = from.unpack(value, status);
  switch (x.kind) {
    case Kind.zero:
      return to.zero(x.sign);
    case Kind.infinity:
      return to.infinity(x.sign);
    case Kind.unsupported:
      raise(status, Exception.invalid);
      return to.indefinite;
    case Kind.signallingNaN:
      raise(status, Exception.invalid);
      return to.nan(x.sign, x.significand);
    case Kind.quietNaN:
      return to.nan(x.sign, x.significand);
  }
  if (denormals && x.denormal && raise(status, Exception.denormal)) return to.indefinite;
  return round(to, status, x.sign, x.significand, x.exponent);
}

/**
 * A memory operand of x87 arithmetic as double-extended: exact, raising nothing yet, for the operation itself decides what a
 * denormal or signalling NaN means.
 */
export function widen<S>(from: Format<S>, status: FloatStatus, value: S): F80Value {
  const x = from.unpack(value, status);
  if (x.kind === Kind.zero) return F80.zero(x.sign);
  if (x.kind === Kind.infinity) return F80.infinity(x.sign);
  if (x.kind >= Kind.quietNaN) return f80(x.sign, 0x7fff, x.significand);
  const length = bitLength(x.significand);
  const { significand, signExponent } = f80(
    x.sign,
    x.exponent + length - 1 + F80.bias,
    x.significand << shiftCount(64 - length),
  );
  return { significand, signExponent, denormal: x.denormal };
}

/** A signed integer in `format`. */
export function fromInteger<T>(format: Format<T>, status: FloatStatus, value: bigint): T {
  status.roundedUp = false;
  if (value === 0n) return format.zero(0);
  const sign = value < 0n ? 1 : 0;
  return round(format, status, sign, sign ? -value : value, 0);
}

/** How many bits of `significand * 2 ** exponent` lie below the units, no more than it needs for a sticky bit. */
function fractionBits(significand: bigint, exponent: number): number {
  return Math.min(-exponent, bitLength(significand) + 2);
}

/**
 * `value` as a signed integer of `width` bits; what has none (NaN, infinity, out of range) raises invalid and gives the
 * integer indefinite, -(2 ** (width - 1)).
 */
export function toInteger<T>(
  format: Format<T>,
  status: FloatStatus,
  value: T,
  width: 16 | 32 | 64,
  mode: RoundingMode = status.rounding,
): bigint {
  status.roundedUp = false;
  const x = format.unpack(value, status);
  if (x.kind === Kind.zero) return 0n;
  const limit = powerOfTwo(width - 1);
  if (x.kind === Kind.finite && x.exponent < 64) {
    let { significand } = x;
    let inexact = false;
    if (x.exponent >= 0) significand <<= shiftCount(x.exponent);
    else {
      const drop = fractionBits(significand, x.exponent);
      inexact = BigInt.asUintN(drop, significand) !== 0n;
      significand = roundSignificand(status, mode, x.sign, significand, drop);
    }
    if (significand < limit || (significand === limit && x.sign === 1)) {
      if (inexact) raise(status, Exception.precision);
      return x.sign ? -significand : significand;
    }
  }
  status.roundedUp = false;
  raise(status, Exception.invalid);
  return -limit;
}

/**
 * `value` rounded to an integral value (FRNDINT, ROUNDSS). `denormals`: a denormal operand raises
 * (the x87 does, SSE4.1 does not); `inexact`: whether precision is raised.
 */
export function roundToIntegral<T>(
  format: Format<T>,
  status: FloatStatus,
  value: T,
  mode: RoundingMode,
  denormals: boolean,
  inexact: boolean,
): T {
  status.roundedUp = false;
  const x = format.unpack(value, status);
  if (x.kind >= Kind.quietNaN) return format.propagate(status, value, value, x, x);
  if (x.kind === Kind.zero) return format.zero(x.sign);
  if (x.kind === Kind.infinity) return value;
  if (denormals && x.denormal && raise(status, Exception.denormal)) return format.indefinite;
  if (x.exponent >= 0) return value;
  const drop = fractionBits(x.significand, x.exponent);
  if (BigInt.asUintN(drop, x.significand) === 0n) return value;
  const rounded = roundSignificand(status, mode, x.sign, x.significand, drop);
  if (inexact) raise(status, Exception.precision);
  if (rounded === 0n) return format.zero(x.sign);
  const { roundedUp } = status;
  const result = round(format, status, x.sign, rounded, 0);
  status.roundedUp = roundedUp;
  return result;
}

/** ROUNDSS and its kin by immediate: bit 2 takes the mode from MXCSR, bit 3 suppresses precision (SDM vol. 2, ROUNDPD). */
export function roundByImmediate<T>(
  format: Format<T>,
  status: FloatStatus,
  value: T,
  immediate: number,
): T {
  const mode = (immediate & 4 ? status.rounding : immediate & 3) as RoundingMode;
  return roundToIntegral(format, status, value, mode, false, (immediate & 8) === 0);
}
