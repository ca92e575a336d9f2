import { Segment, SegmentField, State } from "../state/layout.ts";
import { i32, i64, unlikely } from "../wasm/index.ts";
import type { I32, I64 } from "../wasm/index.ts";
import type { InstructionContext } from "./context.ts";

/** The status word is kept behind the control word: both are read and written as one word. */
export const STATUS_SHIFT = 16;
const inStatus = (bits: number): number => bits << STATUS_SHIFT;
const ERROR_SUMMARY = inStatus(0x80);
const C1 = inStatus(0x200);
const CODES = inStatus(0x4500);
export const PRECISION = 0x20;
const TOP = inStatus(0x3800);
const TOP_SHIFT = STATUS_SHIFT + 11;
export const ROUNDING_CONTROL = 0xc00;
export const EXPONENT_BIAS = 16383;
export const INTEGER_BIT = i64.const(1n << 63n);

/** What is stored of a register: 64 bits of significand, then sign and exponent in 16. */
export interface Extended {
  readonly significand: I64;
  readonly signExponent: I64;
}

/** How an instruction ends, where it is not as most do. */
interface Ending {
  readonly flags?: I32 | undefined;
  /** It has an operand in memory. */
  readonly memory?: boolean;
  readonly codes?: boolean;
  readonly keepsC1?: boolean;
}

/** The stack as an instruction finds it. What is not as usual is left to the helper, before anything is changed. */
export class Stack {
  readonly #s: InstructionContext;
  /** Control and status word. */
  readonly word: I32;
  readonly #tags: I32;
  readonly #top: I32;

  constructor(s: InstructionContext) {
    const { f } = s;
    this.#s = s;
    this.word = f.let(s.state32(State.FpuControl));
    f.if(unlikely(i32.and(this.word, i32.const(ERROR_SUMMARY))), () => s.help());
    this.#tags = f.let(s.state32(State.FpuTag));
    this.#top = f.let(i32.and(i32.shr_u(this.word, i32.const(TOP_SHIFT)), i32.const(7)));
  }

  /** Number of the physical register ST(index); −1 is the one that a push fills. */
  physical(index: I32 | number): I32 {
    const by = typeof index === "number" ? i32.const(index) : index;
    return this.#s.f.let(i32.and(i32.add(this.#top, by), i32.const(7)));
  }

  /** Goes on only if a register is full, or empty. */
  need(register: I32, full: boolean): void {
    const tag = i32.and(i32.shr_u(this.#tags, register), i32.const(1));
    this.#s.f.if(unlikely(full ? i32.eqz(tag) : tag), () => this.#s.help());
  }

  get(register: I32): Extended {
    const { f } = this.#s;
    const at = this.#at(register);
    return {
      significand: f.let(i64.load(at, State.Fpu)),
      signExponent: f.let(i64.load16_u(at, State.Fpu + 8)),
    };
  }

  set(register: I32, { significand, signExponent }: Extended): void {
    const { f } = this.#s;
    const at = this.#at(register);
    f.store.i64(at, significand, State.Fpu);
    f.store.i64(at, signExponent, State.Fpu + 8);
  }

  #at(register: I32): I32 {
    return this.#s.f.let(this.#s.stateAddress(i32.shl(register, i32.const(4))));
  }

  /**
   * Ends the instruction: where it was, and the stack moved by a push or by pops.
   * @param flags what goes into the status word, as it lies in `word`; C1 is cleared, with `codes` C0, C2 and C3 are, too.
   */
  finish(
    moved: -1 | 0 | 1 | 2,
    { flags, memory = false, codes = false, keepsC1 = false }: Ending = {},
  ): void {
    const s = this.#s;
    const { f } = s;
    s.setState32(State.FpuOpcode, s.x87Opcode());
    s.setState64(State.FpuIp, s.rip());
    const cs = i32.load16_u(s.stateAddress(i32.const(SELECTOR_OF_CS)));
    if (memory) {
      const { base, selector } = s.operandSegment();
      s.setState64(State.FpuDp, i64.sub(s.address(), base));
      s.setState32(State.FpuCs, i32.or(cs, i32.shl(selector, i32.const(16))));
    } else {
      s.setState64(State.FpuDp, i64.const(0));
      s.setState32(State.FpuCs, cs);
    }
    const cleared = (keepsC1 ? 0 : C1) | (codes ? CODES : 0) | (moved === 0 ? 0 : TOP);
    const kept = i32.and(this.word, i32.const(~cleared));
    const status = flags === undefined ? kept : i32.or(kept, flags);
    if (moved === 0) {
      s.setState32(State.FpuControl, status);
      return;
    }
    const top = this.physical(moved);
    s.setState32(State.FpuControl, i32.or(status, i32.shl(top, i32.const(TOP_SHIFT))));
    const bit = (register: I32): I32 => i32.shl(i32.const(1), register);
    if (moved < 0) {
      s.setState32(State.FpuTag, i32.or(this.#tags, bit(top)));
      return;
    }
    const first = bit(this.#top);
    const popped = f.let(moved === 1 ? first : i32.or(first, bit(this.physical(1))));
    const tags = this.#tagsAfterSet ?? this.#tags;
    s.setState32(State.FpuTag, i32.and(tags, i32.xor(popped, i32.const(-1))));
  }

  #tagsAfterSet: I32 | undefined;

  /** Says that a register is full now. */
  fill(register: I32): void {
    const { f } = this.#s;
    this.#tagsAfterSet = f.let(i32.or(this.#tags, i32.shl(i32.const(1), register)));
    this.#s.setState32(State.FpuTag, this.#tagsAfterSet);
  }
}

const SELECTOR_OF_CS = State.Segments + Segment.Cs * SegmentField.Length + SegmentField.Selector;

/** ST(i) of an operand. */
export const index = (s: InstructionContext, operand: number): I32 =>
  s.f.let(s.stackIndex(operand));

/** The bits of an instruction's operand in memory; undefined if it has none. */
export const memoryWidth = (s: InstructionContext): number | undefined => {
  const operand = s.shape.operands.find(({ class: kind }) => kind === "memory");
  return operand?.bits;
};
