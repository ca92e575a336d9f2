/**
 * x87 arithmetic on values: every function takes {@link F80} and a {@link FloatStatus} loaded from the control word.
 * The stack, its faults and the status word are in ../x87.
 */
import { add, divide, multiply, squareRoot } from "./arithmetic.ts";
import { convert, fromInteger, roundToIntegral, toInteger, widen } from "./convert.ts";
import { F32, F64, F80 } from "./format.ts";
import type { Format } from "./format.ts";
import { Exception, Rounding, raise } from "./status.ts";
import type { FloatStatus } from "./status.ts";

export const f80Add = (a: F80, b: F80, status: FloatStatus): F80 =>
  add(F80, status, a, b, status.precision);
export const f80Subtract = (a: F80, b: F80, status: FloatStatus): F80 =>
  add(F80, status, a, b, status.precision, true);
export const f80Multiply = (a: F80, b: F80, status: FloatStatus): F80 =>
  multiply(F80, status, a, b, status.precision);
export const f80Divide = (a: F80, b: F80, status: FloatStatus): F80 =>
  divide(F80, status, a, b, status.precision);
export const f80SquareRoot = (a: F80, status: FloatStatus): F80 =>
  squareRoot(F80, status, a, status.precision);

/** FRNDINT. */
export const f80Round = (a: F80, status: FloatStatus): F80 =>
  roundToIntegral(F80, status, a, status.rounding, true, true);

/** A load always has its value, even when the denormal exception it raises is unmasked (AMD). */
function load<S>(format: Format<S>, a: S, status: FloatStatus): F80 {
  if (format.unpack(a, status).denormal) raise(status, Exception.denormal);
  return convert(format, F80, status, a, false);
}

/** FLD m32fp. */
export const f80FromF32 = (a: number, status: FloatStatus): F80 => load(F32, a, status);
/** FLD m64fp. */
export const f80FromF64 = (a: bigint, status: FloatStatus): F80 => load(F64, a, status);
/** FST m32fp. */
export const f80ToF32 = (a: F80, status: FloatStatus): number =>
  convert(F80, F32, status, a, false);
/** FST m64fp. */
export const f80ToF64 = (a: F80, status: FloatStatus): bigint =>
  convert(F80, F64, status, a, false);
/** FILD. */
export const f80FromInteger = (value: bigint, status: FloatStatus): F80 =>
  fromInteger(F80, status, value);
/** FIST, and with `truncate` FISTTP. */
export const f80ToInteger = (
  a: F80,
  width: 16 | 32 | 64,
  truncate: boolean,
  status: FloatStatus,
): bigint => toInteger(F80, status, a, width, truncate ? Rounding.zero : status.rounding);
/** The m32fp operand of FADD and its kin. */
export const f80WidenF32 = (a: number, status: FloatStatus): F80 => widen(F32, status, a);
/** The m64fp operand of FADD and its kin. */
export const f80WidenF64 = (a: bigint, status: FloatStatus): F80 => widen(F64, status, a);
