/** Integer helpers on BigInt significands. */

const float = new Float64Array(1);
const words = new Uint32Array(float.buffer);

const TABLE = 256;
const SHIFTS: bigint[] = Array.from({ length: TABLE }, (_, index) => BigInt(index));
const POWERS: bigint[] = SHIFTS.map((shift) => 1n << shift);

/** Shift counts as BigInt, cached: making one costs as much as shifting by it. */
export function shiftCount(count: number): bigint {
  return SHIFTS[count] ?? BigInt(count);
}

/** 2^count. */
export function powerOfTwo(count: number): bigint {
  return POWERS[count] ?? 1n << BigInt(count);
}

/** Position of the highest set bit plus one; 0 for 0. */
export function bitLength(value: bigint): number {
  if (value === 0n) return 0;
  float[0] = Number(value);
  const high = words[1] ?? 0;
  const exponent = (high >>> 20) - 1023;
  if (exponent > 1000) {
    let extra = 0;
    let rest = value;
    while (rest >= POWER_900) {
      rest >>= 900n;
      extra += 900;
    }
    return extra + bitLength(rest);
  }
  // Number() rounds to nearest: a value just under a power of two comes out as that power.
  if ((high & 0xfffff) === 0 && words[0] === 0 && value < powerOfTwo(exponent)) return exponent;
  return exponent + 1;
}

const POWER_900 = 1n << 900n;

/** Largest integer whose square is at most `value`. */
export function integerSquareRoot(value: bigint): bigint {
  if (value === 0n) return 0n;
  const length = bitLength(value);
  const drop = Math.max(0, length - 1000);
  const even = drop + (drop & 1);
  // A double has about 50 good bits and each Newton step doubles them. A step never ends below the floor.
  const estimate = BigInt(Math.floor(Math.sqrt(Number(value >> BigInt(even)))));
  let root = estimate << BigInt(even / 2);
  for (let good = 50; ; good *= 2) {
    root = (root + value / root) >> 1n;
    if (2 * good > length / 2 + 4) break;
  }
  while (root * root > value) root--;
  return root;
}
