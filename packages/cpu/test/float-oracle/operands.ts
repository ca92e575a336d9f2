/** Seeded random operands, heavily biased to the edges where implementations differ. */
import type { F80 } from "../../src/float/format.ts";

/** A small deterministic generator (xorshift128). */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  constructor(seed: number) {
    this.#a = seed | 1;
    this.#b = 0x6d2b79f5;
    this.#c = 0x1b873593;
    this.#d = 0x85ebca6b;
    for (let index = 0; index < 20; index++) this.word();
  }

  /** 32 random bits. */
  word(): number {
    let t = this.#d;
    const s = this.#a;
    this.#d = this.#c;
    this.#c = this.#b;
    this.#b = s;
    t ^= t << 11;
    t ^= t >>> 8;
    this.#a = t ^ s ^ (s >>> 19);
    return this.#a >>> 0;
  }

  below(limit: number): number {
    return this.word() % limit;
  }

  long(): bigint {
    return (BigInt(this.word()) << 32n) | BigInt(this.word());
  }

  pick<T>(choices: readonly T[]): T {
    const choice = choices[this.below(choices.length)];
    if (choice === undefined) throw new RangeError("nothing to pick from");
    return choice;
  }
}

/** A fraction of `bits` bits: none, all, one, few, or random ones. */
function fraction(random: Random, bits: number): bigint {
  const all = (1n << BigInt(bits)) - 1n;
  switch (random.below(8)) {
    case 0:
      return 0n;
    case 1:
      return all;
    case 2:
      return 1n << BigInt(random.below(bits));
    case 3:
      return (all << BigInt(random.below(bits))) & all;
    case 4:
      return all >> BigInt(random.below(bits));
    case 5:
      return random.long() & all & (all << BigInt(random.below(bits))) & all;
    default:
      return random.long() & all;
  }
}

function exponent(random: Random, bits: number): number {
  const maximum = (1 << bits) - 1;
  const bias = maximum >> 1;
  switch (random.below(12)) {
    case 0:
      return 0;
    case 1:
      return maximum;
    case 2:
      return 1 + random.below(3);
    case 3:
      return maximum - 1 - random.below(3);
    case 4:
    case 5:
    case 6:
      return bias + random.below(9) - 4;
    case 7:
    case 8:
      return Math.min(maximum, bias + random.below(140) - 70) & maximum;
    case 9:
      return random.below(80) & maximum;
    default:
      return random.word() & maximum;
  }
}

/** binary32 bits. */
export function f32Operand(random: Random): number {
  const sign = random.below(2);
  return (((sign << 31) >>> 0) + (exponent(random, 8) << 23) + Number(fraction(random, 23))) >>> 0;
}

/** binary64 bits. */
export function f64Operand(random: Random): bigint {
  return (
    (BigInt(random.below(2)) << 63n) | (BigInt(exponent(random, 11)) << 52n) | fraction(random, 52)
  );
}

/** Double-extended, one in sixteen with the wrong integer bit. */
export function f80Operand(random: Random): F80 {
  const biased = exponent(random, 15);
  const integer = (biased !== 0) !== (random.below(16) === 0) ? 1n << 63n : 0n;
  return {
    significand: integer | fraction(random, 63),
    signExponent: (random.below(2) << 15) | biased,
  };
}

/** A second operand that is often close to the first, so that sums cancel and comparisons tie. */
export function f80Near(random: Random, value: F80): F80 {
  if (random.below(4) !== 0) return f80Operand(random);
  const significand = BigInt.asUintN(64, value.significand + BigInt(random.below(5) - 2));
  const biased = ((value.signExponent & 0x7fff) + random.below(3) - 1) & 0x7fff;
  return { significand, signExponent: (random.below(2) << 15) | biased };
}

export function f32Near(random: Random, value: number): number {
  if (random.below(4) !== 0) return f32Operand(random);
  return (value + random.pick([0, 1, -1, 0x80000000, 0x80000001, 0x800000, -0x800000])) >>> 0;
}

export function f64Near(random: Random, value: bigint): bigint {
  if (random.below(4) !== 0) return f64Operand(random);
  return BigInt.asUintN(
    64,
    value + random.pick([0n, 1n, -1n, 1n << 63n, (1n << 63n) + 1n, 1n << 52n, -(1n << 52n)]),
  );
}

/** MXCSR with random rounding, DAZ, FTZ; mostly masked. */
export function mxcsrOperand(random: Random): number {
  const masks = random.below(3) === 0 ? random.below(64) : 0x3f;
  return (
    (masks << 7) |
    (random.below(4) << 13) |
    (random.below(4) === 0 ? 0x40 : 0) |
    (random.below(4) === 0 ? 0x8000 : 0)
  );
}

/** An x87 control word with random rounding and precision; mostly masked. */
export function controlWordOperand(random: Random): number {
  const masks = random.below(3) === 0 ? random.below(64) : 0x3f;
  return masks | 0x40 | (random.pick([3, 3, 2, 0]) << 8) | (random.below(4) << 10);
}

/** 64 bits of any magnitude. */
export function integerOperand(random: Random): bigint {
  if (random.below(3) === 0) return random.long();
  const magnitude = random.long() >> BigInt(random.below(64));
  return BigInt.asUintN(
    64,
    (random.below(2) === 0 ? magnitude : -magnitude) + BigInt(random.below(3) - 1),
  );
}
