/**
 * One decoded instruction (or the address part of one) as the interpreter reads it: 32 bytes in the
 * WebAssembly memory. Register fields are byte offsets into the vCPU's state.
 */
export const Record = {
  /** Index of the handler; 16 bits. */
  Handler: 0,
  /** Offset of the instruction in its guest-physical page; 16 bits. */
  Offset: 2,
  /** Instruction length in bytes; 8 bits. */
  InstructionLength: 4,
  /** Bytes the memory operand spans, minus one; bit 7 set if it is written. For segment checks; 8 bits. */
  Access: 5,
  /** State offsets of the first, second and third register operand; for vectors from `State.Xmm`. 8 bits each. */
  A: 6,
  B: 7,
  C: 8,
  /** State offsets of base and index register (`State.Zero` for none), scale as a shift; 8 bits each. */
  Base: 9,
  Index: 10,
  Scale: 11,
  /** Displacement, signed; for RIP-relative addresses from the start of the page. 32 bits. */
  Displacement: 12,
  /** Immediate, sign-extended to 64 bits; a branch target from the start of the page. */
  Immediate: 16,
  /**
   * Record that a taken branch inside the page leads to, 0 until it is known; of an indirect jump or call how often it was
   * interpreted, modulo 2 to the 32. 32 bits.
   */
  Link: 24,
  /** The instruction form's id in the opcode table; 16 bits. */
  Entry: 28,
  /** log2 of operand size in bytes (bits 0–1), of address size (bits 2–3), REP (bit 4), REPNE (bit 5), LOCK (bit 6), memory operand (bit 7); 8 bits. */
  Sizes: 30,
  /** Segment of the memory operand, times `SegmentField.Length`; 8 bits. */
  Segment: 31,
  Length: 32,
} as const;

/** Bits of `Record.Sizes`. */
export const SIZES_REP = 0x10;
export const SIZES_REPNE = 0x20;
export const SIZES_LOCK = 0x40;
export const SIZES_MEMORY = 0x80;

/**
 * Behind the record of an indirect jump or call in 64-bit code, and the one that follows it: the lower halves of the last
 * addresses that the interpreter went to from there.
 */
export const JumpTargets = { From: 2 * Record.Length, Count: 32, Length: 32 * 4 } as const;

/**
 * What precedes the first record of a block: how often the block was entered, and the translated code that is
 * entered instead. As long as a record, so that records stay aligned.
 */
export const Head = {
  /** Entries until the block is hot; `HEAD_LIVE` once it is translated. 32 bits. */
  Count: 0,
  /** The region's index in the table of functions, and which of its entries this block is; 32 bits each. */
  Region: 4,
  Entry: 8,
  /** Offset of the block's first byte in the WebAssembly memory, its lower and upper half; 32 bits each. */
  Offset: 12,
  OffsetHigh: 20,
  /** The number of its decode mode; 32 bits. */
  Mode: 16,
  /** The end of its last record. 32 bits. */
  End: 24,
  /** The 128-byte pieces of its first instruction's page in which it lies, as bits; 32 bits. */
  Pieces: 28,
} as const;

/** Values of `Head.Count` below the threshold's. */
export const HEAD_LIVE = -1;
/** A block that is not to be translated, or waits for it. */
export const HEAD_QUIET = 0x40000000;
