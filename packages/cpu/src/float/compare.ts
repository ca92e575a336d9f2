/** Ordering of two values, and what SSE and the x87 make of it. */
import { bitLength, shiftCount } from "./bits.ts";
import { Kind } from "./format.ts";
import type { Format, Unpacked } from "./format.ts";
import { Exception, raise } from "./status.ts";
import type { FloatStatus } from "./status.ts";

/** Outcome of a comparison. */
export const Ordering = { less: -1, equal: 0, greater: 1, unordered: 2 } as const;

/** A value of {@link Ordering}. */
export type OrderingResult = -1 | 0 | 1 | 2;

function compareMagnitude(x: Unpacked, y: Unpacked): OrderingResult {
  if (x.kind !== y.kind) return x.kind < y.kind ? -1 : 1;
  if (x.kind !== Kind.finite) return 0;
  const top = x.exponent + bitLength(x.significand) - (y.exponent + bitLength(y.significand));
  if (top !== 0) return top < 0 ? -1 : 1;
  const distance = x.exponent - y.exponent;
  const left = distance > 0 ? x.significand << shiftCount(distance) : x.significand;
  const right = distance < 0 ? y.significand << shiftCount(-distance) : y.significand;
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

/** Orders two unpacked values, neither of them a NaN. */
export function order(x: Unpacked, y: Unpacked): OrderingResult {
  if (x.kind === Kind.zero && y.kind === Kind.zero) return 0;
  const left = x.sign === 1 && x.kind !== Kind.zero;
  const right = y.sign === 1 && y.kind !== Kind.zero;
  if (left !== right) return left ? -1 : 1;
  return left ? compareMagnitude(y, x) : compareMagnitude(x, y);
}

/**
 * Compares `a` with `b`. `signalling` comparisons (COMISS, FCOM, CMPPS with LT and the like) raise invalid
 * for every NaN; quiet ones (UCOMISS, FUCOM) for signalling NaNs and unsupported encodings only.
 */
export function compare<T>(
  format: Format<T>,
  status: FloatStatus,
  a: T,
  b: T,
  signalling: boolean,
): OrderingResult {
  status.roundedUp = false;
  const x = format.unpack(a, status);
  const y = format.unpack(b, status);
  if (x.kind >= Kind.quietNaN || y.kind >= Kind.quietNaN) {
    if (signalling || x.kind >= Kind.signallingNaN || y.kind >= Kind.signallingNaN) {
      raise(status, Exception.invalid);
    }
    return Ordering.unordered;
  }
  if (x.denormal || y.denormal) raise(status, Exception.denormal);
  return order(x, y);
}

/**
 * MINSS and MAXSS: the second operand unless the first is strictly less (or greater), so that it also wins
 * between two zeros and with any NaN, which is invalid (SDM vol. 2, MINSS).
 */
export function minimum<T>(format: Format<T>, status: FloatStatus, a: T, b: T, wanted: -1 | 1): T {
  const first = compare(format, status, a, b, true) === wanted;
  const chosen = first ? a : b;
  // Denormals-are-zeros also applies to the operand that is handed through.
  const { kind, sign } = format.unpack(chosen, status);
  return kind === Kind.zero ? format.zero(sign) : chosen;
}

/** CMPPS and its kin: true for a set mask. Only `predicate[2:0]` counts (SDM vol. 2, CMPPS: EQ LT LE UNORD NEQ NLT NLE ORD). */
export function comparePredicate<T>(
  format: Format<T>,
  status: FloatStatus,
  a: T,
  b: T,
  predicate: number,
): boolean {
  const condition = predicate & 3;
  const ordering = compare(format, status, a, b, condition === 1 || condition === 2);
  let holds: boolean;
  if (condition === 0) holds = ordering === Ordering.equal;
  else if (condition === 1) holds = ordering === Ordering.less;
  else if (condition === 2) holds = ordering <= Ordering.equal;
  else holds = ordering === Ordering.unordered;
  return holds !== (predicate & 4) > 0;
}
