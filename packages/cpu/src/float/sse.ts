/**
 * SSE arithmetic on one element: every function takes bits and a {@link FloatStatus} loaded from MXCSR
 * and returns bits. An instruction faults, and writes nothing, when `status.flags & ~status.masks` is not
 * zero afterwards; packed.ts combines the elements of a vector.
 */
import { add, divide, multiply, squareRoot } from "./arithmetic.ts";
import { compare, comparePredicate, minimum } from "./compare.ts";
import type { OrderingResult } from "./compare.ts";
import { convert, fromInteger, roundByImmediate, toInteger } from "./convert.ts";
import { F32, F64 } from "./format.ts";
import { Rounding } from "./status.ts";
import type { FloatStatus } from "./status.ts";

export const f32Add = (a: number, b: number, status: FloatStatus): number =>
  add(F32, status, a, b, 24);
export const f32Subtract = (a: number, b: number, status: FloatStatus): number =>
  add(F32, status, a, b, 24, true);
export const f32Multiply = (a: number, b: number, status: FloatStatus): number =>
  multiply(F32, status, a, b, 24);
export const f32Divide = (a: number, b: number, status: FloatStatus): number =>
  divide(F32, status, a, b, 24);
export const f32SquareRoot = (a: number, status: FloatStatus): number =>
  squareRoot(F32, status, a, 24);

export const f64Add = (a: bigint, b: bigint, status: FloatStatus): bigint =>
  add(F64, status, a, b, 53);
export const f64Subtract = (a: bigint, b: bigint, status: FloatStatus): bigint =>
  add(F64, status, a, b, 53, true);
export const f64Multiply = (a: bigint, b: bigint, status: FloatStatus): bigint =>
  multiply(F64, status, a, b, 53);
export const f64Divide = (a: bigint, b: bigint, status: FloatStatus): bigint =>
  divide(F64, status, a, b, 53);
export const f64SquareRoot = (a: bigint, status: FloatStatus): bigint =>
  squareRoot(F64, status, a, 53);

/** MINSS / MINPS. */
export const f32Minimum = (a: number, b: number, status: FloatStatus): number =>
  minimum(F32, status, a, b, -1);
/** MAXSS / MAXPS. */
export const f32Maximum = (a: number, b: number, status: FloatStatus): number =>
  minimum(F32, status, a, b, 1);
/** MINSD / MINPD. */
export const f64Minimum = (a: bigint, b: bigint, status: FloatStatus): bigint =>
  minimum(F64, status, a, b, -1);
/** MAXSD / MAXPD. */
export const f64Maximum = (a: bigint, b: bigint, status: FloatStatus): bigint =>
  minimum(F64, status, a, b, 1);

/** CMPSS / CMPPS; true stands for a mask of ones. */
export const f32ComparePredicate = (
  a: number,
  b: number,
  predicate: number,
  status: FloatStatus,
): boolean => comparePredicate(F32, status, a, b, predicate);
/** CMPSD / CMPPD. */
export const f64ComparePredicate = (
  a: bigint,
  b: bigint,
  predicate: number,
  status: FloatStatus,
): boolean => comparePredicate(F64, status, a, b, predicate);

/** COMISS (`signalling`) and UCOMISS. */
export const f32Compare = (
  a: number,
  b: number,
  signalling: boolean,
  status: FloatStatus,
): OrderingResult => compare(F32, status, a, b, signalling);
/** COMISD (`signalling`) and UCOMISD. */
export const f64Compare = (
  a: bigint,
  b: bigint,
  signalling: boolean,
  status: FloatStatus,
): OrderingResult => compare(F64, status, a, b, signalling);

/** ROUNDSS / ROUNDPS. */
export const f32Round = (a: number, immediate: number, status: FloatStatus): number =>
  roundByImmediate(F32, status, a, immediate);
/** ROUNDSD / ROUNDPD. */
export const f64Round = (a: bigint, immediate: number, status: FloatStatus): bigint =>
  roundByImmediate(F64, status, a, immediate);

/** CVTSS2SD. */
export const f32ToF64 = (a: number, status: FloatStatus): bigint => convert(F32, F64, status, a);
/** CVTSD2SS. */
export const f64ToF32 = (a: bigint, status: FloatStatus): number => convert(F64, F32, status, a);

/** CVTSI2SS / CVTDQ2PS, from a signed integer. */
export const f32FromInteger = (value: bigint, status: FloatStatus): number =>
  fromInteger(F32, status, value);
/** CVTSI2SD / CVTDQ2PD, from a signed integer. */
export const f64FromInteger = (value: bigint, status: FloatStatus): bigint =>
  fromInteger(F64, status, value);

/** CVTSS2SI / CVTPS2DQ, and with `truncate` CVTTSS2SI / CVTTPS2DQ: a signed integer of `width` bits. */
export const f32ToInteger = (
  a: number,
  width: 32 | 64,
  truncate: boolean,
  status: FloatStatus,
): bigint => toInteger(F32, status, a, width, truncate ? Rounding.zero : status.rounding);
/** CVTSD2SI / CVTPD2DQ, and with `truncate` CVTTSD2SI / CVTTPD2DQ. */
export const f64ToInteger = (
  a: bigint,
  width: 32 | 64,
  truncate: boolean,
  status: FloatStatus,
): bigint => toInteger(F64, status, a, width, truncate ? Rounding.zero : status.rounding);
