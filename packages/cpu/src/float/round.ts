/** The one place where exact values become encodings: rounding, overflow and underflow (SDM vol. 1, 4.9.1.4–6). */
import { bitLength, powerOfTwo, shiftCount } from "./bits.ts";
import type { Format } from "./format.ts";
import { Exception, Rounding } from "./status.ts";
import type { FloatStatus, RoundingMode } from "./status.ts";

/**
 * `significand` without its low `drop` bits, rounded; sets `status.roundedUp` and raises nothing.
 * `drop` may be negative.
 */
export function roundSignificand(
  status: FloatStatus,
  mode: RoundingMode,
  sign: number,
  significand: bigint,
  drop: number,
): bigint {
  status.roundedUp = false;
  if (drop <= 0) return significand << shiftCount(-drop);
  const kept = significand >> shiftCount(drop);
  const lost = BigInt.asUintN(drop, significand);
  if (lost === 0n) return kept;
  let up: boolean;
  if (mode === Rounding.nearest) {
    const half = powerOfTwo(drop - 1);
    up = lost > half || (lost === half && (kept & 1n) === 1n);
  } else up = mode !== Rounding.zero && (mode === Rounding.up) !== (sign === 1);
  status.roundedUp = up;
  return up ? kept + 1n : kept;
}

/**
 * Encodes `significand * 2 ** exponent` (not zero) in `format`, rounded to `precision` bits. An inexact
 * tail is passed as one more set bit below at least `precision + 2` others.
 */
export function round<T>(
  format: Format<T>,
  status: FloatStatus,
  sign: number,
  significand: bigint,
  exponent: number,
  precision: number = format.precision,
): T {
  const { bias } = format;
  const mode = status.rounding;
  const length = bitLength(significand);
  const drop = length - precision;
  const widen = shiftCount(format.precision - precision);
  const limit = powerOfTwo(precision);
  // Unbounded exponent first: tininess is judged after rounding.
  let rounded = roundSignificand(status, mode, sign, significand, drop);
  let biased = exponent + length - 1 + bias;
  if (rounded === limit) {
    rounded >>= 1n;
    biased++;
  }
  const inexact = drop > 0 && BigInt.asUintN(drop, significand) !== 0n;
  if (biased <= 0) {
    if ((status.masks & Exception.underflow) === 0) {
      status.flags |= inexact ? Exception.underflow | Exception.precision : Exception.underflow;
      const wrapped = biased + format.wrap;
      if (format.wrap !== 0 && wrapped > 0) return format.pack(sign, wrapped, rounded << widen);
      status.flags |= format.wrap === 0 ? 0 : Exception.precision;
      status.roundedUp = false;
      return format.zero(sign);
    }
    if (status.flushToZero && format.wrap === 0) {
      status.flags |= Exception.underflow | Exception.precision;
      return format.zero(sign);
    }
    // Round again at the fixed position of a denormal's last bit.
    const tail = 1 - bias - (precision - 1) - exponent;
    const denormal = roundSignificand(status, mode, sign, significand, tail);
    if (tail > 0 && BigInt.asUintN(tail, significand) !== 0n) {
      status.flags |= Exception.underflow | Exception.precision;
    }
    if (denormal === 0n) return format.zero(sign);
    return format.pack(sign, denormal >= limit >> 1n ? 1 : 0, denormal << widen);
  }
  if (inexact) status.flags |= Exception.precision;
  if (biased > 2 * bias) {
    status.flags |= Exception.overflow;
    if ((status.masks & Exception.overflow) === 0) {
      const wrapped = biased - format.wrap;
      if (format.wrap !== 0 && wrapped <= 2 * bias)
        return format.pack(sign, wrapped, rounded << widen);
      status.flags |= format.wrap === 0 ? 0 : Exception.precision;
      status.roundedUp = true;
      return format.infinity(sign);
    }
    status.flags |= Exception.precision;
    const toInfinity =
      mode === Rounding.nearest ||
      (mode !== Rounding.zero && (mode === Rounding.up) !== (sign === 1));
    status.roundedUp = toInfinity;
    if (toInfinity) return format.infinity(sign);
    return format.pack(sign, 2 * bias, (limit - 1n) << widen);
  }
  return format.pack(sign, biased, rounded << widen);
}
