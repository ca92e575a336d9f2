/** FPREM and FPREM1 (SDM vol. 2): exact remainders, at most 63 quotient bits a step. */
import { bitLength, shiftCount } from "./bits.ts";
import { F80, Kind } from "./format.ts";
import { round } from "./round.ts";
import { Exception, raise } from "./status.ts";
import type { FloatStatus } from "./status.ts";

/** What one step leaves. */
export interface RemainderStep {
  readonly value: F80;
  /** Another step is needed (C2). */
  readonly partial: boolean;
  /** The three low quotient bits, which go to C0, C3 and C1; undefined while partial and for operands without one. */
  readonly quotient: number | undefined;
}

function whole(value: F80, quotient?: number): RemainderStep {
  return { value, partial: false, quotient };
}

/** One step of `a` modulo `b`: truncating (FPREM), or `nearest` with ties to even (FPREM1). */
export function f80Remainder(a: F80, b: F80, nearest: boolean, status: FloatStatus): RemainderStep {
  status.roundedUp = false;
  const x = F80.unpack(a, status);
  const y = F80.unpack(b, status);
  if (x.kind >= Kind.quietNaN || y.kind >= Kind.quietNaN) {
    return whole(F80.propagate(status, a, b, x, y));
  }
  if (x.kind === Kind.infinity || y.kind === Kind.zero) {
    raise(status, Exception.invalid);
    return whole(F80.indefinite);
  }
  if ((x.denormal || y.denormal) && raise(status, Exception.denormal)) return whole(F80.indefinite);
  if (x.kind === Kind.zero) return whole(F80.zero(x.sign), 0);
  if (y.kind === Kind.infinity)
    return whole(round(F80, status, x.sign, x.significand, x.exponent), 0);
  const distance = x.exponent + bitLength(x.significand) - (y.exponent + bitLength(y.significand));
  if (distance >= 64) {
    // Reduce by a multiple of y * 2 ** (distance - bits), as many quotient bits as the processor takes.
    const bits = 32 + (distance & 31);
    const scaled = y.exponent + distance - bits;
    const common = Math.min(x.exponent, scaled);
    const left = x.significand << shiftCount(x.exponent - common);
    const right = y.significand << shiftCount(scaled - common);
    const rest = left % right;
    const value = rest === 0n ? F80.zero(x.sign) : round(F80, status, x.sign, rest, common);
    return { value, partial: true, quotient: undefined };
  }
  const common = Math.min(x.exponent, y.exponent);
  if (distance < -1) return whole(round(F80, status, x.sign, x.significand, x.exponent), 0);
  const left = x.significand << shiftCount(x.exponent - common);
  const right = y.significand << shiftCount(y.exponent - common);
  let quotient = left / right;
  let rest = left - quotient * right;
  let { sign } = x;
  if (nearest) {
    const twice = rest << 1n;
    if (twice > right || (twice === right && (quotient & 1n) === 1n)) {
      quotient += 1n;
      rest = right - rest;
      sign ^= 1;
    }
  }
  const value = rest === 0n ? F80.zero(x.sign) : round(F80, status, sign, rest, common);
  return { value, partial: false, quotient: Number(quotient & 7n) };
}
