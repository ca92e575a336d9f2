/**
 * The three formats and their encodings (SDM vol. 1, 4.2.2 and 8.2). An operation unpacks its operands,
 * works on exact integers, and packs once, in round.ts.
 */
import { Exception, raise } from "./status.ts";
import type { FloatStatus } from "./status.ts";

/** A double-extended value: 64 significand bits with the explicit integer bit, sign in bit 15 of `signExponent`. */
export interface F80 {
  readonly significand: bigint;
  readonly signExponent: number;
  /** Widened from a denormal of a narrower format, and so a denormal operand still. */
  readonly denormal?: boolean;
}

/** Classes of operand, ordered so that everything from `quietNaN` on has no numeric value. */
export const Kind = {
  zero: 0,
  finite: 1,
  infinity: 2,
  quietNaN: 3,
  signallingNaN: 4,
  unsupported: 5,
} as const;

/** An operand taken apart: its value is `significand * 2 ** exponent` when finite. */
export interface Unpacked {
  kind: number;
  /** 1 for negative. */
  sign: number;
  exponent: number;
  significand: bigint;
  denormal: boolean;
}

/** One encoding. `T` is number (uint32 bits), bigint (uint64 bits) or {@link F80}. */
export interface Format<T> {
  readonly precision: number;
  readonly bias: number;
  /** Added to or taken from the exponent of an unmasked underflow or overflow; 0: no result is made (SSE). */
  readonly wrap: number;
  unpack(value: T, status: FloatStatus): Unpacked;
  /** `significand` has `precision` bits with the leading one, fewer when `biased` is 0. */
  pack(sign: number, biased: number, significand: bigint): T;
  infinity(sign: number): T;
  zero(sign: number): T;
  /** A quiet NaN with the top bits of a left-justified 64-bit payload (integer bit included). */
  nan(sign: number, payload: bigint): T;
  /** The default NaN, which the manual calls QNaN floating-point indefinite. */
  readonly indefinite: T;
  /** Result of an operation with a NaN or unsupported operand; raises invalid where due. */
  propagate(status: FloatStatus, a: T, b: T, x: Unpacked, y: Unpacked): T;
}

const INTEGER_BIT = 1n << 63n;
const QUIET_BIT = 1n << 62n;
const MASK_63 = INTEGER_BIT - 1n;

function special(kind: number, sign: number, significand: bigint): Unpacked {
  return { kind, sign, exponent: 0, significand, denormal: false };
}

/** binary32 in a uint32. */
export const F32: Format<number> = {
  precision: 24,
  bias: 127,
  wrap: 0,
  unpack(value, status) {
    const sign = value >>> 31;
    const biased = (value >>> 23) & 0xff;
    const fraction = value & 0x7fffff;
    if (biased === 0) {
      if (fraction === 0 || status.denormalsAreZeros) return special(Kind.zero, sign, 0n);
      return {
        kind: Kind.finite,
        sign,
        exponent: -149,
        significand: BigInt(fraction),
        denormal: true,
      };
    }
    if (biased === 0xff) {
      if (fraction === 0) return special(Kind.infinity, sign, 0n);
      const kind = fraction & 0x400000 ? Kind.quietNaN : Kind.signallingNaN;
      return special(kind, sign, BigInt(fraction | 0x800000) << 40n);
    }
    return {
      kind: Kind.finite,
      sign,
      exponent: biased - 150,
      significand: BigInt(fraction | 0x800000),
      denormal: false,
    };
  },
  pack: (sign, biased, significand) =>
    ((sign << 31) | (biased << 23) | (Number(significand) & 0x7fffff)) >>> 0,
  infinity: (sign) => (sign ? 0xff800000 : 0x7f800000),
  zero: (sign) => (sign ? 0x80000000 : 0),
  nan: (sign, payload) => ((sign << 31) | 0x7fc00000 | (Number(payload >> 40n) & 0x3fffff)) >>> 0,
  indefinite: 0xffc00000,
  propagate(status, a, b, x, y) {
    if (x.kind === Kind.signallingNaN || y.kind === Kind.signallingNaN)
      raise(status, Exception.invalid);
    return ((x.kind >= Kind.quietNaN ? a : b) | 0x400000) >>> 0;
  },
};

const FRACTION_64 = (1n << 52n) - 1n;
const HIDDEN_64 = 1n << 52n;
const QUIET_64 = 1n << 51n;
const SIGN_64 = 1n << 63n;
const INFINITY_64 = 0x7ffn << 52n;
const scratch = new BigUint64Array(1);
const scratchWords = new Uint32Array(scratch.buffer);

/** binary64 in the low 64 bits of a bigint. */
export const F64: Format<bigint> = {
  precision: 53,
  bias: 1023,
  wrap: 0,
  unpack(value, status) {
    scratch[0] = value;
    const high = scratchWords[1] ?? 0;
    const sign = high >>> 31;
    const biased = (high >>> 20) & 0x7ff;
    const fraction = value & FRACTION_64;
    if (biased === 0) {
      if (fraction === 0n || status.denormalsAreZeros) return special(Kind.zero, sign, 0n);
      return { kind: Kind.finite, sign, exponent: -1074, significand: fraction, denormal: true };
    }
    if (biased === 0x7ff) {
      if (fraction === 0n) return special(Kind.infinity, sign, 0n);
      const kind = high & 0x80000 ? Kind.quietNaN : Kind.signallingNaN;
      return special(kind, sign, (fraction | HIDDEN_64) << 11n);
    }
    return {
      kind: Kind.finite,
      sign,
      exponent: biased - 1075,
      significand: fraction | HIDDEN_64,
      denormal: false,
    };
  },
  pack(sign, biased, significand) {
    scratch[0] = significand;
    scratchWords[1] = ((scratchWords[1] ?? 0) & 0xfffff) | (sign << 31) | (biased << 20);
    return scratch[0];
  },
  infinity: (sign) => (sign ? SIGN_64 | INFINITY_64 : INFINITY_64),
  zero: (sign) => (sign ? SIGN_64 : 0n),
  nan: (sign, payload) =>
    (sign ? SIGN_64 : 0n) | INFINITY_64 | QUIET_64 | ((payload & MASK_63) >> 11n),
  indefinite: SIGN_64 | INFINITY_64 | QUIET_64,
  propagate(status, a, b, x, y) {
    if (x.kind === Kind.signallingNaN || y.kind === Kind.signallingNaN)
      raise(status, Exception.invalid);
    return (x.kind >= Kind.quietNaN ? a : b) | QUIET_64;
  },
};

/** Makes an {@link F80}. */
export function f80(sign: number, biased: number, significand: bigint): F80 {
  return { significand, signExponent: (sign << 15) | biased };
}

/** Double-extended, with the x87's rules for NaN operands. */
export const F80: Format<F80> = {
  precision: 64,
  bias: 16383,
  wrap: 0x6000,
  unpack({ significand, signExponent, denormal = false }) {
    const sign = signExponent >>> 15;
    const biased = signExponent & 0x7fff;
    if (biased === 0) {
      if (significand === 0n) return special(Kind.zero, sign, 0n);
      // Denormals and pseudo-denormals (integer bit set) share exponent and treatment.
      return { kind: Kind.finite, sign, exponent: -16445, significand, denormal: true };
    }
    if (significand < INTEGER_BIT) return special(Kind.unsupported, sign, significand);
    if (biased === 0x7fff) {
      if (significand === INTEGER_BIT) return special(Kind.infinity, sign, 0n);
      return special(
        significand & QUIET_BIT ? Kind.quietNaN : Kind.signallingNaN,
        sign,
        significand,
      );
    }
    return { kind: Kind.finite, sign, exponent: biased - 16446, significand, denormal };
  },
  pack: f80,
  infinity: (sign) => f80(sign, 0x7fff, INTEGER_BIT),
  zero: (sign) => f80(sign, 0, 0n),
  nan: (sign, payload) => f80(sign, 0x7fff, payload | INTEGER_BIT | QUIET_BIT),
  indefinite: f80(1, 0x7fff, INTEGER_BIT | QUIET_BIT),
  propagate(status, _a, _b, x, y) {
    if (x.kind === Kind.unsupported || y.kind === Kind.unsupported) {
      raise(status, Exception.invalid);
      return F80.indefinite;
    }
    if (x.kind === Kind.signallingNaN || y.kind === Kind.signallingNaN)
      raise(status, Exception.invalid);
    return chooseNaN(x, y);
  },
};

/** The x87's choice between NaN operands (SDM vol. 1, table 4-7): a quiet one over a signalling one, then the larger significand, then the positive one. */
function chooseNaN(x: Unpacked, y: Unpacked): F80 {
  let chosen = x;
  if (x.kind < Kind.quietNaN) chosen = y;
  else if (y.kind < Kind.quietNaN) chosen = x;
  else if (x.kind !== y.kind) chosen = x.kind === Kind.quietNaN ? x : y;
  else if (x.significand !== y.significand) chosen = x.significand > y.significand ? x : y;
  else chosen = x.sign <= y.sign ? x : y;
  return F80.nan(chosen.sign, chosen.significand);
}
