/**
 * The floating-point environment of one instruction: what MXCSR or the x87 control word ask for, and
 * the exceptions raised so far.
 */

/** Exception bits, in the order of MXCSR[5:0] and of the x87 status word (SDM vol. 1, 4.9.1). */
export const Exception = {
  invalid: 0x01,
  denormal: 0x02,
  divideByZero: 0x04,
  overflow: 0x08,
  underflow: 0x10,
  precision: 0x20,
} as const;

/** The exceptions found before a result is computed: unmasked, they suppress the computation. */
export const PRE_COMPUTATION = Exception.invalid | Exception.denormal | Exception.divideByZero;

/** Rounding modes as MXCSR.RC and the x87 RC field encode them. */
export const Rounding = { nearest: 0, down: 1, up: 2, zero: 3 } as const;

/** A value of {@link Rounding}. */
export type RoundingMode = 0 | 1 | 2 | 3;

/** Significand bits that x87 arithmetic keeps (the PC field). */
export type Precision = 24 | 53 | 64;

/**
 * What an operation reads (rounding … flushToZero) and writes (flags, roundedUp). An operation ORs
 * into `flags` and never clears it: start each instruction with 0, for only newly raised exceptions
 * can fault. When `flags & ~masks` holds one of {@link PRE_COMPUTATION} the returned value means
 * nothing.
 */
export interface FloatStatus {
  rounding: RoundingMode;
  /** Applies to x87 add, subtract, multiply, divide and square root only. */
  precision: Precision;
  /** A set bit masks that exception. */
  masks: number;
  /** MXCSR.DAZ: denormal operands are zeros. Ignored by the x87. */
  denormalsAreZeros: boolean;
  /** MXCSR.FTZ: tiny results become zeros while underflow is masked. Ignored by the x87. */
  flushToZero: boolean;
  /** Exceptions raised, a set of {@link Exception} bits. */
  flags: number;
  /** The last rounding increased the magnitude (x87 C1). */
  roundedUp: boolean;
}

/** A status with every exception masked, rounding to nearest, 64-bit precision. */
export function createFloatStatus(): FloatStatus {
  return {
    rounding: 0,
    precision: 64,
    masks: 0x3f,
    denormalsAreZeros: false,
    flushToZero: false,
    flags: 0,
    roundedUp: false,
  };
}

/** Loads `status` from an MXCSR value (SDM vol. 1, 10.2.3) and clears its raised flags. */
export function loadMxcsr(status: FloatStatus, mxcsr: number): void {
  status.rounding = ((mxcsr >>> 13) & 3) as RoundingMode;
  status.masks = (mxcsr >>> 7) & 0x3f;
  status.denormalsAreZeros = (mxcsr & 0x40) !== 0;
  status.flushToZero = (mxcsr & 0x8000) !== 0;
  status.flags = 0;
  status.roundedUp = false;
}

const PRECISION_BY_FIELD: readonly Precision[] = [24, 64, 53, 64];

/** Loads `status` from an x87 control word (SDM vol. 1, 8.1.5) and clears its raised flags. */
export function loadControlWord(status: FloatStatus, controlWord: number): void {
  status.rounding = ((controlWord >>> 10) & 3) as RoundingMode;
  status.precision = PRECISION_BY_FIELD[(controlWord >>> 8) & 3] ?? 64;
  status.masks = controlWord & 0x3f;
  status.denormalsAreZeros = false;
  status.flushToZero = false;
  status.flags = 0;
  status.roundedUp = false;
}

/** Raises `exceptions`; true when one of them is unmasked. */
export function raise(status: FloatStatus, exceptions: number): boolean {
  status.flags |= exceptions;
  return (exceptions & ~status.masks) !== 0;
}
