/** Exception vectors (Intel SDM vol. 3, table 6-1). */
export const Vector = {
  DivideError: 0,
  Debug: 1,
  Nmi: 2,
  Breakpoint: 3,
  Overflow: 4,
  BoundRange: 5,
  InvalidOpcode: 6,
  NoDevice: 7,
  DoubleFault: 8,
  InvalidTss: 10,
  SegmentNotPresent: 11,
  StackFault: 12,
  GeneralProtection: 13,
  PageFault: 14,
  MathFault: 16,
  AlignmentCheck: 17,
  MachineCheck: 18,
  SimdFault: 19,
} as const;

/** Vectors that push an error code. */
export const ERROR_CODE_VECTORS: ReadonlySet<number> = new Set([8, 10, 11, 12, 13, 14, 17, 21]);

/**
 * An exception of the guest, thrown by helpers written in JavaScript and caught where the interpreter calls
 * them. One object is reused: throwing it must cost no stack trace.
 */
export class GuestFault {
  vector = 0;
  /** −1 for vectors without an error code. */
  errorCode = -1;
}

const fault = new GuestFault();

/** Throws the exception `vector`; never returns. */
export function raise(vector: number, errorCode = -1): never {
  fault.vector = vector;
  fault.errorCode = errorCode;
  throw fault;
}
