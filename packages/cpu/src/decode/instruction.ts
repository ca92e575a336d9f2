/** `Instruction.entry` and the answer of `Decoder.decode` for bytes that are no instruction: raise #UD. */
export const INVALID = -1;
/** The instruction goes on past `limit`: decode again with more bytes (or raise the fault of the next page). */
export const TRUNCATED = -2;
/** More than 15 bytes: raise #GP(0). */
export const TOO_LONG = -3;

/** Bits of `Instruction.prefixes`. */
export const PREFIX_LOCK = 1 << 0;
/** F3 is in effect (of F3 and F2 the last one counts). */
export const PREFIX_REP = 1 << 1;
/** F2 is in effect. */
export const PREFIX_REPNE = 1 << 2;
export const PREFIX_OPERAND_SIZE = 1 << 3;
export const PREFIX_ADDRESS_SIZE = 1 << 4;
/** A REX prefix is in effect: byte registers 4–7 are SPL BPL SIL DIL, not AH CH DH BH. */
export const PREFIX_REX = 1 << 5;
export const PREFIX_REX_B = 1 << 8;
export const PREFIX_REX_X = 1 << 9;
export const PREFIX_REX_R = 1 << 10;
export const PREFIX_REX_W = 1 << 11;

/** Segment register numbers, as encoded in instructions. */
export const SEGMENT_ES = 0;
export const SEGMENT_CS = 1;
export const SEGMENT_SS = 2;
export const SEGMENT_DS = 3;
export const SEGMENT_FS = 4;
export const SEGMENT_GS = 5;

/** `Instruction.base` for an address relative to the end of the instruction. */
export const BASE_RIP = 16;

/**
 * One decoded instruction: integers only. A decoder owns one and overwrites it with each call; copy what
 * has to last. After INVALID, TRUNCATED or TOO_LONG only `entry`, `length` and `mode` mean anything.
 */
export class Instruction {
  /** Index into `OPCODES`, or INVALID, TRUNCATED, TOO_LONG. */
  entry = INVALID;
  /** Bytes, prefixes included; when not valid, the bytes looked at. */
  length = 0;
  mode: 16 | 32 | 64 = 64;
  /** Effective operand size in bits; 32 for forms to which it means nothing. */
  operandSize: 16 | 32 | 64 = 32;
  /** Effective address size in bits. */
  addressSize: 16 | 32 | 64 = 64;
  /** `PREFIX_*` bits. */
  prefixes = 0;
  /** The segment override in effect (0–5), or -1. In 64-bit mode only FS and GS have effect. */
  segmentOverride = -1;
  /** The last opcode byte. */
  opcode = 0;
  /** ModRM.mod. 3 where there is no memory operand by ModRM or moffs: `mod !== 3` means such an operand. */
  mod = 3;
  /** ModRM.reg, extended by REX.R where it names an extensible register. */
  reg = 0;
  /** The register of ModRM.rm or of the opcode, extended by REX.B; meaningful where `mod` is 3. */
  rm = 0;
  /** Base register 0–15, BASE_RIP, or -1. */
  base = -1;
  /** Index register 0–15, or -1. */
  index = -1;
  /** The index is shifted left by this: 0–3. */
  scale = 0;
  /** Displacement, sign-extended; for moffs the low half of the offset. */
  disp = 0;
  /** The high half: the sign of `disp`, or of the moffs offset. */
  dispHigh = 0;
  /** The segment of the memory operand: override, SS for rSP and rBP bases, or DS. */
  segment = SEGMENT_DS;
  /** Immediate or relative distance as two halves, extended to 64 bits as the operand code says. */
  immediate = 0;
  immediateHigh = 0;
  /** The second immediate: nesting level of ENTER, selector of a far pointer, second of EXTRQ and INSERTQ. */
  immediate2 = 0;
}
