/** FSCALE and FXTRACT (SDM vol. 2). */
import { bitLength, shiftCount } from "./bits.ts";
import { F80, Kind, f80 } from "./format.ts";
import { fromInteger } from "./convert.ts";
import { round } from "./round.ts";
import { Exception, raise } from "./status.ts";
import type { FloatStatus } from "./status.ts";

/** No finite value scaled by more than this stays in range. */
const FARTHEST = 0x10000;

/** `a * 2 ** trunc(b)`. */
export function f80Scale(a: F80, b: F80, status: FloatStatus): F80 {
  status.roundedUp = false;
  const x = F80.unpack(a, status);
  const y = F80.unpack(b, status);
  if (x.kind >= Kind.quietNaN || y.kind >= Kind.quietNaN) return F80.propagate(status, a, b, x, y);
  if (y.kind === Kind.infinity) {
    if (x.kind === (y.sign ? Kind.infinity : Kind.zero)) {
      raise(status, Exception.invalid);
      return F80.indefinite;
    }
    if (x.denormal && raise(status, Exception.denormal)) return F80.indefinite;
    return y.sign ? F80.zero(x.sign) : F80.infinity(x.sign);
  }
  if ((x.denormal || y.denormal) && raise(status, Exception.denormal)) return F80.indefinite;
  if (x.kind !== Kind.finite) return a;
  let scale = 0;
  if (y.kind === Kind.finite) {
    if (y.exponent + bitLength(y.significand) > 17) scale = FARTHEST;
    else if (y.exponent > -64) scale = Number(y.significand >> shiftCount(-y.exponent));
    if (y.sign) scale = -scale;
  }
  return round(F80, status, x.sign, x.significand, x.exponent + scale);
}

/** The two results of FXTRACT. */
export interface Extracted {
  readonly exponent: F80;
  readonly significand: F80;
}

/** Splits `a` into its exponent and a significand in [1, 2). */
export function f80Extract(a: F80, status: FloatStatus): Extracted {
  status.roundedUp = false;
  const x = F80.unpack(a, status);
  if (x.kind >= Kind.quietNaN) {
    const value = F80.propagate(status, a, a, x, x);
    return { exponent: value, significand: value };
  }
  if (x.kind === Kind.infinity) return { exponent: F80.infinity(0), significand: a };
  if (x.kind === Kind.zero) {
    raise(status, Exception.divideByZero);
    return { exponent: F80.infinity(1), significand: a };
  }
  if (x.denormal) raise(status, Exception.denormal);
  const length = bitLength(x.significand);
  return {
    exponent: fromInteger(F80, status, BigInt(x.exponent + length - 1)),
    significand: f80(x.sign, F80.bias, x.significand << shiftCount(64 - length)),
  };
}
