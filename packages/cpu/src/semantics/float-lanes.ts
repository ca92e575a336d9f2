import { f32, f32x4, f64, f64x2, i32, i32x4, i64, i64x2, select, v128 } from "../wasm/index.ts";
import type { Expr, F64, FunctionBuilder, I32, I64, Int, V128 } from "../wasm/index.ts";
import { State } from "../state/layout.ts";
import type { InstructionContext } from "./context.ts";
import { eqz, ge_u, le_u, lt_u, shl, sub, toI32, toI64 } from "./integer-ops.ts";
import { ZERO, splat } from "./vector-operands.ts";

/**
 * When WebAssembly's arithmetic, which rounds to nearest and reports nothing, does exactly what the
 * processor does. Operands that are no denormals and no NaNs and results in the normal range raise at most
 * the precision exception; everything else is left to helpers.
 */

type Float<T extends "f32" | "f64"> = Expr<T>;

/** The operations on one floating-point type that the descriptions need, on bits (`I32`, `I64`) and values. */
export interface ScalarFormat<T extends "f32" | "f64"> {
  readonly type: T;
  readonly width: 32 | 64;
  readonly value: (bits: Int) => Float<T>;
  readonly bits: (value: Float<T>) => Int;
  /** As `bits`, for what is rare: the engine does not keep what it has from `bits` until then. */
  readonly rareBits: (value: Float<T>) => Int;
  readonly operations: {
    readonly add: (a: Float<T>, b: Float<T>) => Float<T>;
    readonly sub: (a: Float<T>, b: Float<T>) => Float<T>;
    readonly mul: (a: Float<T>, b: Float<T>) => Float<T>;
    readonly div: (a: Float<T>, b: Float<T>) => Float<T>;
    readonly sqrt: (a: Float<T>) => Float<T>;
    readonly neg: (a: Float<T>) => Float<T>;
    readonly ceil: (a: Float<T>) => Float<T>;
    readonly floor: (a: Float<T>) => Float<T>;
    readonly trunc: (a: Float<T>) => Float<T>;
    readonly nearest: (a: Float<T>) => Float<T>;
    readonly eq: (a: Float<T>, b: Float<T>) => I32;
    readonly lt: (a: Float<T>, b: Float<T>) => I32;
    readonly le: (a: Float<T>, b: Float<T>) => I32;
    readonly const: (value: number) => Float<T>;
  };
  /** `a < b ? a : b` and `b < a ? a : b`. */
  readonly lesser: (a: Float<T>, b: Float<T>) => Float<T>;
  readonly greater: (a: Float<T>, b: Float<T>) => Float<T>;
  /** Conditions that together say that `a * b` is in the normal range without rounding, and `r` if that is given. */
  readonly exactProduct: (a: Float<T>, b: Float<T>, r?: Float<T>) => readonly I32[];
}

const asF32 = (bits: Int): Expr<"f32"> => f32.reinterpret_i32(toI32(bits));
const asF64 = (bits: Int): Expr<"f64"> => f64.reinterpret_i64(toI64(bits));

export const SINGLE: ScalarFormat<"f32"> = {
  type: "f32",
  width: 32,
  value: asF32,
  bits: i32.reinterpret_f32,
  rareBits: (value) => i32x4.extract_lane(f32x4.splat(value), 0),
  operations: f32,
  lesser: (a, b) => f32x4.extract_lane(f32x4.pmin(f32x4.splat(b), f32x4.splat(a)), 0),
  greater: (a, b) => f32x4.extract_lane(f32x4.pmax(f32x4.splat(b), f32x4.splat(a)), 0),
  exactProduct: (a, b, r = f32.mul(a, b)) => {
    const [x, y, product] = [a, b, r].map(f64.promote_f32) as [F64, F64, F64];
    return [f64.eq(f64.mul(x, y), product)];
  },
};

export const DOUBLE: ScalarFormat<"f64"> = {
  type: "f64",
  width: 64,
  value: asF64,
  bits: i64.reinterpret_f64,
  rareBits: (value) => i64x2.extract_lane(f64x2.splat(value), 0),
  operations: f64,
  lesser: (a, b) => f64x2.extract_lane(f64x2.pmin(f64x2.splat(b), f64x2.splat(a)), 0),
  greater: (a, b) => f64x2.extract_lane(f64x2.pmax(f64x2.splat(b), f64x2.splat(a)), 0),
  // The trailing zeros of both say that the product of their significands fits.
  exactProduct: (a, b, r) => {
    const [x, y] = [a, b].map(i64.reinterpret_f64) as [I64, I64];
    const fits = i64.ge_u(i64.add(i64.ctz(x), i64.ctz(y)), i64.const(53));
    return r === undefined ? [fits] : [fits, f64.eq(f64.mul(a, b), r)];
  },
};

/** Twice the bits, which drops the sign, of the least normal number and of infinity. */
const TWICE_LEAST = { 32: 0x0100_0000n, 64: 0x0020_0000_0000_0000n } as const;
const TWICE_INFINITY = { 32: 0xff00_0000n, 64: 0xffe0_0000_0000_0000n } as const;

const number = (bits: Int, value: bigint): Int =>
  bits.type === "i64" ? i64.const(value) : i32.const(Number(BigInt.asIntN(32, value)));
const sizeOf = (bits: Int): 32 | 64 => (bits.type === "i64" ? 64 : 32);
const magnitude = (bits: Int): Int => shl(bits, number(bits, 1n));

export const isZeroValue = (bits: Int): I32 => eqz(magnitude(bits));

/** Not a denormal. */
export function notDenormal(bits: Int): I32 {
  const least = TWICE_LEAST[sizeOf(bits)];
  return ge_u(sub(magnitude(bits), number(bits, 1n)), number(bits, least - 1n));
}

/** Finite, and above the least normal number, which may have been rounded up to. */
export function isOrdinary(bits: Int): I32 {
  const first = TWICE_LEAST[sizeOf(bits)] + 1n;
  const count = TWICE_INFINITY[sizeOf(bits)] - first;
  return lt_u(sub(magnitude(bits), number(bits, first)), number(bits, count));
}

/** The upper half of the least double, or that single, of the second binade, and how many from it on are finite; the sign shifted out. */
const LEAST_UPPER = { f32: 0x0200_0000, f64: 0x0040_0000 } as const;
const USUAL_COUNT = {
  f32: 0xff00_0000 - LEAST_UPPER.f32,
  f64: 0xffe0_0000 - LEAST_UPPER.f64,
} as const;

/**
 * How many values of the upper half, with the sign shifted out, are usual: 0 while MXCSR asks for more than `roundsQuietly`, so that
 * then no result is.
 */
export function usualCount(type: "f32" | "f64", control: I32): I32 {
  return select(isQuiet(control), i32.const(USUAL_COUNT[type]), i32.const(0));
}

/**
 * Zero, tiny, infinite or no number: a short test, true of nothing but these and of the least binade.
 * @param count `usualCount`, where all are unusual while rounding is not quiet.
 */
export function isUnusual<T extends "f32" | "f64">(
  format: ScalarFormat<T>,
  value: Float<T>,
  count: I32 = i32.const(USUAL_COUNT[format.type]),
): I32 {
  const bits = format.bits(value);
  const upper = bits.type === "i64" ? i32.wrap_i64(i64.shr_u(bits, i64.const(32))) : bits;
  const twice = i32.shl(upper, i32.const(1));
  return i32.ge_u(i32.sub(twice, i32.const(LEAST_UPPER[format.type])), count);
}

/** Neither a denormal nor a NaN. */
export function isPlain(bits: Int): I32 {
  const notNaN = le_u(magnitude(bits), number(bits, TWICE_INFINITY[sizeOf(bits)]));
  return i32.and(notNaN, notDenormal(bits));
}

/** RC, the precision mask and the precision flag of MXCSR. */
const ROUNDING = 0x6000;
const PRECISION_MASK = 0x1000;
const PRECISION_FLAG = 0x20;

/** Rounding to nearest, with precision masked and reported already: inexact results change nothing else. */
export function roundsQuietly(s: InstructionContext): I32 {
  return isQuiet(s.state32(State.Mxcsr));
}

function isQuiet(control: I32): I32 {
  const mode = i32.and(control, i32.const(ROUNDING | PRECISION_MASK | PRECISION_FLAG));
  return i32.eq(mode, i32.const(PRECISION_MASK | PRECISION_FLAG));
}

/** As `roundsQuietly` where rounding is not MXCSR's. */
export function truncatesQuietly(s: InstructionContext): I32 {
  const mode = i32.and(s.state32(State.Mxcsr), i32.const(PRECISION_MASK | PRECISION_FLAG));
  return i32.eq(mode, i32.const(PRECISION_MASK | PRECISION_FLAG));
}

export function roundsToNearest(s: InstructionContext): I32 {
  return i32.eqz(i32.and(s.state32(State.Mxcsr), i32.const(ROUNDING)));
}

/** MXCSR.RC. */
export function roundingMode(s: InstructionContext): I32 {
  return i32.and(i32.shr_u(s.state32(State.Mxcsr), i32.const(13)), i32.const(3));
}

/**
 * Conditions that together say that `a + b = r` without rounding: what is added to the larger is what the result less it gives, exactly.
 */
export function exactSum<T extends "f32" | "f64">(
  { operations: o }: ScalarFormat<T>,
  a: Float<T>,
  b: Float<T>,
  r: Float<T>,
): readonly I32[] {
  return [o.eq(o.sub(r, a), b), o.eq(o.sub(r, b), a)];
}

type PackedName = Exclude<keyof typeof f32x4 & keyof typeof f64x2, `${string}lane` | "splat">;

/** Vectors of one floating-point type. */
export interface PackedFormat {
  readonly type: "f32" | "f64";
  readonly operations: Pick<typeof f64x2, PackedName>;
  readonly least: V128;
  readonly infinity: V128;
}

export const SINGLES: PackedFormat = {
  type: "f32",
  operations: f32x4,
  least: splat(4, 0x0080_0000),
  infinity: splat(4, 0x7f80_0000),
};

export const DOUBLES: PackedFormat = {
  type: "f64",
  operations: f64x2,
  least: splat(8, 0x0010_0000_0000_0000n),
  infinity: splat(8, 0x7ff0_0000_0000_0000n),
};

/** The quarters of a vector that hold signs and exponents, as `i32x4.bitmask` numbers them. */
const UPPER_QUARTERS = { f32: 0b1111, f64: 0b1010 } as const;

/** Whether a lane of some vectors is unusual, as `isUnusual` has it of one number; not 0 if so. */
export function anyUnusual(
  f: FunctionBuilder,
  { type }: PackedFormat,
  values: readonly V128[],
): I32 {
  const least = splat(4, LEAST_UPPER[type]);
  const largest = f.let(
    values
      .map((value) => i32x4.sub(i32x4.add(value, value), least))
      .reduce((one, other) => i32x4.max_u(one, other)),
  );
  const beyond = i32x4.max_u(largest, splat(4, USUAL_COUNT[type]));
  // The larger of both is the first one where that is no less.
  return i32.and(i32x4.bitmask(i32x4.eq(beyond, largest)), i32.const(UPPER_QUARTERS[type]));
}

/** Lanes that hold denormals. */
export function denormals({ operations: o, least }: PackedFormat, value: V128): V128 {
  return v128.and(o.lt(o.abs(value), least), o.ne(value, ZERO));
}

/** Lanes that hold denormals or NaNs. */
export function notPlain(format: PackedFormat, value: V128): V128 {
  return v128.or(denormals(format, value), format.operations.ne(value, value));
}

/** Lanes that hold infinities or NaNs. */
export function notFinite({ operations: o, infinity }: PackedFormat, value: V128): V128 {
  return v128.not(o.lt(o.abs(value), infinity));
}

/** Lanes no larger than the least normal number. */
export function tiny({ operations: o, least }: PackedFormat, value: V128): V128 {
  return o.le(o.abs(value), least);
}

export function nonZero({ operations: o }: PackedFormat, value: V128): V128 {
  return o.ne(value, ZERO);
}
