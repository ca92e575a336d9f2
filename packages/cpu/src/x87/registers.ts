/** The architectural state of the x87 (SDM vol. 1, 8.1). */

/**
 * The x87's registers. Plain storage: an implementation may be a view of memory that others read as well.
 */
export interface X87Registers {
  /**
   * Sixteen words: significand of physical register i at `2 * i`, its sign and exponent in the low 16 bits of
   * `2 * i + 1`. MMX register i is word `2 * i`.
   */
  readonly registers: BigUint64Array;
  controlWord: number;
  /** TOP included. */
  statusWord: number;
  /** Abridged as FXSAVE stores it: bit i set when physical register i is not empty. */
  tags: number;
  /** FOP: the low three bits of the first opcode byte, and ModRM. */
  opcode: number;
  instructionPointer: bigint;
  codeSelector: number;
  dataPointer: bigint;
  dataSelector: number;
}

/** Registers as RESET leaves them (SDM vol. 3, table 10-1). FNINIT is what software does next. */
export function createX87Registers(): X87Registers {
  return {
    registers: new BigUint64Array(16),
    controlWord: 0x40,
    statusWord: 0,
    tags: 0xff,
    opcode: 0,
    instructionPointer: 0n,
    codeSelector: 0,
    dataPointer: 0n,
    dataSelector: 0,
  };
}

/** Status word bits. */
export const Status = {
  stackFault: 0x0040,
  errorSummary: 0x0080,
  c0: 0x0100,
  c1: 0x0200,
  c2: 0x0400,
  top: 0x3800,
  c3: 0x4000,
  busy: 0x8000,
} as const;

/** All condition codes. */
export const CONDITION_CODES = Status.c0 | Status.c1 | Status.c2 | Status.c3;

/** FNINIT (SDM vol. 2). */
export function initialize(registers: X87Registers): void {
  registers.controlWord = 0x37f;
  registers.statusWord = 0;
  registers.tags = 0;
  registers.opcode = 0;
  registers.instructionPointer = 0n;
  registers.codeSelector = 0;
  registers.dataPointer = 0n;
  registers.dataSelector = 0;
}

/** The control word as it can be held: bit 6 is always set, bits 7 and 13–15 never. */
export function storableControlWord(value: number): number {
  return (value & 0x1f7f) | 0x40;
}

/** The status word with ES and B as the exceptions and masks make them. */
export function summarize(statusWord: number, controlWord: number): number {
  const summary = Status.errorSummary | Status.busy;
  return statusWord & ~controlWord & 0x3f ? statusWord | summary : statusWord & ~summary;
}

const INTEGER_BIT = 1n << 63n;

/** The two-bits-a-register tag word that FNSTENV stores: 0 valid, 1 zero, 2 special, 3 empty. */
export function fullTagWord({ registers, tags }: X87Registers): number {
  let word = 0;
  for (let index = 0; index < 8; index++) {
    let tag = 3;
    if (tags & (1 << index)) {
      const significand = registers[2 * index] ?? 0n;
      const biased = Number(registers[2 * index + 1] ?? 0n) & 0x7fff;
      if (biased === 0 && significand === 0n) tag = 1;
      else tag = biased === 0 || biased === 0x7fff || significand < INTEGER_BIT ? 2 : 0;
    }
    word |= tag << (2 * index);
  }
  return word;
}

/** The abridged tags for a full tag word. */
export function abridgeTagWord(word: number): number {
  let tags = 0;
  for (let index = 0; index < 8; index++) if (((word >> (2 * index)) & 3) !== 3) tags |= 1 << index;
  return tags;
}
