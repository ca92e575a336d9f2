/** One executed instruction as simd-oracle.c reads and writes it: the state before, in place of which comes the state after. */
export const Field = {
  Code: 0,
  Length: 16,
  /** Signal number, or 0. */
  Fault: 17,
  Flags: 24,
  Registers: 32,
  /** An FXSAVE image in 64-bit form, but x87 registers by their physical numbers. */
  Vectors: 160,
  Memory: 672,
  RecordLength: 736,
} as const;

/** Offsets in the FXSAVE image (Intel SDM vol. 1, table 10-2). */
export const Fxsave = {
  Control: 0,
  Status: 2,
  Tags: 4,
  Mxcsr: 24,
  St: 32,
  Xmm: 160,
} as const;

/** Linear address of the memory that instructions work on; it lies across two pages. */
export const WINDOW = 0x200fe0;
export const WINDOW_BYTES = 64;

/** Status flags in `Field.Flags`. */
export const STATUS = 0x8d5n;
