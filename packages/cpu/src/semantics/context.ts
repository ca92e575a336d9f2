import type { Expr, FunctionBuilder, I32, I64, Int, Place, V128 } from "../wasm/index.ts";

/** Integer widths of operands, in bits. */
export type Width = 8 | 16 | 32 | 64;

/** Where an operand of one shape of an instruction is. */
export type OperandClass =
  | "register"
  | "memory"
  | "immediate"
  /** the target of a relative branch */
  | "target"
  | "segment"
  | "control"
  | "debug"
  | "xmm"
  | "mmx"
  | "st";

/** One operand of one shape of an instruction: the class and width are fixed, the rest is in the record. */
export interface OperandShape {
  readonly class: OperandClass;
  /** In bits; 0 where the instruction decides itself. */
  readonly bits: number;
}

/** A shift whose flags follow from what is shifted and the count, which is not zero. */
export type ShiftOperation = "shl" | "shr" | "sar";

/** An operation whose flags follow from its operands and result; `adc` and `sbb` with a carry in. */
export type FlagOperation =
  "add" | "adc" | "sub" | "sbb" | "inc" | "dec" | "logic" | ShiftOperation;

/** Everything about an instruction that its description may depend on when code is generated. */
export interface Shape {
  /** Identifies the shape: shapes with equal keys share one handler. */
  readonly key: string;
  /** The name of its semantics. */
  readonly name: string;
  readonly operands: readonly OperandShape[];
  /** Effective operand size in bits. */
  readonly size: 16 | 32 | 64;
  /** Condition code 0–15 of Jcc, SETcc and CMOVcc, otherwise −1. */
  readonly condition: number;
  /** 64-bit mode. Only instructions whose meaning differs have one shape for each. */
  readonly long: boolean;
  /** For relative branches: the target lies in the same page and may be linked to. */
  readonly near: boolean;
  /** Address size in bits, for string instructions and LOOP. */
  readonly addressSize: 16 | 32 | 64;
  /** The repeat prefix in effect, for string instructions. */
  readonly repeat: "" | "rep" | "repne";
}

/**
 * What an instruction is described against. The interpreter's implementation reads operands from the
 * micro-op record at run time; the translator's has them as constants. A description calls these methods to
 * emit code; it never emits a store to guest state before the last access that can fault.
 *
 * Integer values of up to 32 bits are i32 (the bits above the width are zero after `get`, and ignored by
 * `set`), 64-bit ones i64.
 */
export interface InstructionContext {
  readonly shape: Shape;
  /** The function being written, for statements: `let`, `if`, `loop`. */
  readonly f: FunctionBuilder;

  /** Value of an integer operand, zero-extended. A memory operand is read, and may fault. */
  get(operand: number): Int;
  /** Writes an integer operand: 32-bit registers clear the upper half, 8- and 16-bit ones keep the rest. */
  set(operand: number, value: Int): void;
  /** Reads an operand, computes, writes the result; memory is checked for writing before it is read. */
  update(operand: number, compute: (old: Int) => Int): void;

  /** A whole general register. */
  register(number: number): I64;
  /** The low `width` bits of a general register, zero-extended. */
  registerPart(number: number, width: Width): Int;
  /** Writes a general register as an operand of that width would. */
  setRegister(number: number, width: Width, value: Int): void;

  /** Linear address of the memory operand (for LEA: its offset). */
  address(): I64;
  /** What offsets in a segment are ANDed with: ones in the width of the address size. */
  addressMask(): I64;
  /** Reads `width` bits of memory at a linear address. */
  load(width: Width, address: I64): Int;
  store(width: Width, address: I64, value: Int): void;
  /**
   * WebAssembly offset at which `bytes` bytes of a linear address can be read (`write` false) or overwritten;
   * may be a bounce buffer: after writing there call `finishWrite`.
   * @param reach of a write: this many bytes, all in the page, will be overwritten if it is no bounce buffer.
   */
  translate(address: I64, bytes: number, access: "read" | "write" | "update", reach?: I32): Place;
  finishWrite(offset: Place): void;
  /** What `translate` answers for an access that does not go straight to RAM inside one page. */
  bounceOffset(): Place;
  /** Linear address of `offset` in a segment, checked for an access of `bytes` bytes. In 64-bit mode only FS and GS have a base. */
  linear(segment: number | "operand", offset: I64, bytes: number, write: boolean): I64;

  /** An offset in the stack segment: what is above the stack pointer's width goes. */
  stackOffset(value: I64): I64;
  /** Whether a segment has base 0, no limit and allows the access, so that its offsets are linear addresses; 1 in 64-bit mode. */
  isFlat(segment: number | "operand", write: boolean): I32;

  /** A 128-bit vector operand, XMM or memory; `aligned` memory faults (#GP) when not on 16 bytes. */
  getVector(operand: number, aligned?: boolean): V128;
  setVector(operand: number, value: V128, aligned?: boolean): void;
  /** The low `width` bits of an XMM or MMX operand, or that much memory, as an integer. */
  getLow(operand: number, width: 32 | 64): Int;
  /**
   * Replaces the low `width` bits of an XMM register operand, or writes memory, or all of an MMX register, whose sign and exponent
   * as an x87 register become ones.
   */
  setLow(operand: number, width: 32 | 64, value: Int): void;
  /** The lowest number of an XMM operand, or one in memory, with the bits that it has. */
  getFloat<T extends "f32" | "f64">(operand: number, type: T): Expr<T>;
  /** Replaces the lowest number of an XMM register operand, or writes memory. */
  setFloat(operand: number, value: Expr<"f32" | "f64">): void;
  /** As `setFloat` of a register, all of whose other bits become 0. */
  setFloatAlone(operand: number, value: Expr<"f32" | "f64">): void;
  /** Whether it is known already that the lowest number of an operand is neither a denormal nor a NaN. */
  isPlain(operand: number, type: "f32" | "f64"): boolean;
  /** Says that from here on the lowest number of an XMM register operand is neither a denormal nor a NaN. */
  notePlain(operand: number, type: "f32" | "f64"): void;
  /** `usualCount` of MXCSR. */
  usualCount(type: "f32" | "f64"): I32;
  /** Whether two register operands are known to be the same. */
  isSame(a: number, b: number): boolean;
  /** A 128-bit field of the vCPU's state. */
  setState128(offset: number, value: V128): void;

  /** The words flags are kept in; use `flags.ts`. */
  flagResult(): I64;
  flagCarries(): I64;
  setFlagCarries(low: I32, high: I32): void;
  /** Both at once. */
  setFlagWords(result: I64, low: I32, high: I32): void;
  /** The flags of an operation; operands and result are bound values. INC and DEC leave CF. */
  setOperationFlags(operation: FlagOperation, width: Width, a: Int, b: Int, result: Int): void;
  /** A condition code as 0 or 1 if there is a shorter way than by the flag words. */
  knownCondition(code: number): I32 | undefined;
  /** RFLAGS bits other than the six status flags. */
  systemFlags(): I32;
  setSystemFlags(value: I32): void;
  /** Another TLB serves from the next access on: the privilege, or AC, has changed. */
  setTlb(offset: I32): void;

  /** A 32-bit or 64-bit field of the vCPU's state by its offset in `State`. */
  state32(offset: number): I32;
  state64(offset: number): I64;
  setState32(offset: number, value: I32): void;
  setState64(offset: number, value: I64): void;

  /** The address in WebAssembly memory of a field of the state whose offset is worked out. */
  stateAddress(offset: I32): I32;
  /** Of an x87 instruction: the low three bits of its first byte, then ModRM, as FOP has them. */
  x87Opcode(): I32;
  /** i of an operand ST(i). */
  stackIndex(operand: number): I32;
  /** The segment of the memory operand; in 64-bit mode its selector is that of DS unless it is FS or GS. */
  operandSegment(): { readonly base: I64; readonly selector: I32 };

  /** Address of the instruction. */
  rip(): I64;
  /** Address of the next instruction. */
  nextRip(): I64;
  /** Address a relative branch leads to. */
  targetRip(): I64;
  /** Ends the instruction: goes to the branch target. */
  branch(): void;
  /** Ends the instruction: goes to an address, which is masked to the mode's width. */
  jump(rip: I64): void;
  /** Ends the instruction: runs it again (the next round of a repeated string instruction). */
  again(): void;
  /** Ends the instruction with an exception. */
  raise(vector: number, errorCode?: number): void;
  /** Ends the instruction: leaves it to the helper of its name, which does all of it. */
  help(): void;
  /** Ends the instruction normally before its description's end. */
  done(): void;
}

/** The description of an instruction: written once, lowered by interpreter and translator. */
export interface Description {
  describe(s: InstructionContext): void;
  /** Its meaning differs between 64-bit mode and the others: two sets of shapes. */
  readonly modal?: boolean;
  /** Address size and repeat prefix are part of its shape. */
  readonly string?: boolean;
  /** Which function of the interpreter holds it: `main` for hot instructions, another to keep that one small. */
  readonly group?: "main" | "rare" | "vector";
}

/** Descriptions by the name of the semantics (see `semanticsName`). */
export type Descriptions = Readonly<Record<string, Description>>;
