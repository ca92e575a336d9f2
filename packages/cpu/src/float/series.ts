/**
 * Power series in fixed point with {@link FRACTION} fraction bits: far more than the 64 bits of a result, so that
 * rounding them is correct but for cases that no random test has met.
 */

/** Fraction bits. */
export const FRACTION = 144;
const SHIFT = BigInt(FRACTION);

/** One. */
export const UNIT = 1n << SHIFT;

/** ln 2 and π with {@link FRACTION} bits, truncated. */
export const LN2 = 0xb17217f7d1cf79abc9e3b39803f2f6af40f3n;
export const PI = 0x3243f6a8885a308d313198a2e03707344a409n;

/** `a * b`. */
export function times(a: bigint, b: bigint): bigint {
  return (a * b) >> SHIFT;
}

/** Keeps below one what is one only for want of digits, so that it rounds to the right side. */
function below(value: bigint): bigint {
  return value < UNIT ? value : UNIT - 1n;
}

/** sin(x) / x for x² given, at most 1. */
export function sineFactor(square: bigint): bigint {
  let term = UNIT;
  let sum = UNIT;
  for (let n = 2n; term !== 0n; n += 2n) {
    term = -(times(term, square) / (n * (n + 1n)));
    sum += term;
  }
  return below(sum);
}

/** cos(x) for x² given, at most 1. */
export function cosine(square: bigint): bigint {
  let term = UNIT;
  let sum = UNIT;
  for (let n = 1n; term !== 0n; n += 2n) {
    term = -(times(term, square) / (n * (n + 1n)));
    sum += term;
  }
  return below(sum);
}

/** atan(x) / x for x² given, at most about 1/64. */
export function arcTangentFactor(square: bigint): bigint {
  let power = UNIT;
  let sum = UNIT;
  for (let n = 3n; power !== 0n; n += 2n) {
    power = -times(power, square);
    if (power === -1n) break;
    sum += power / n;
  }
  return below(sum);
}

/** (e^x - 1) / x for x of magnitude at most 1. */
export function exponentialFactor(x: bigint): bigint {
  let term = UNIT;
  let sum = UNIT;
  for (let n = 2n; term !== 0n && n < 100n; n += 1n) {
    term = times(term, x) / n;
    if (term === -1n) break;
    sum += term;
  }
  return sum;
}

/** atanh(x) / x for x² given, at most about 1/32. */
export function areaTangentFactor(square: bigint): bigint {
  let power = UNIT;
  let sum = UNIT;
  for (let n = 3n; power !== 0n; n += 2n) {
    power = times(power, square);
    sum += power / n;
  }
  return sum;
}
