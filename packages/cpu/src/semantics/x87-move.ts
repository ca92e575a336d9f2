import { Register, Segment, SegmentField, State } from "../state/layout.ts";
import { f32, f64, i32, i64, select, unlikely } from "../wasm/index.ts";
import type { I32, I64 } from "../wasm/index.ts";
import type { Description, Descriptions, InstructionContext } from "./context.ts";
import { toI32, toI64 } from "./integer-ops.ts";

/** The status word is kept behind the control word: both are read and written as one word. */
const STATUS_SHIFT = 16;
const inStatus = (bits: number): number => bits << STATUS_SHIFT;
const ERROR_SUMMARY = inStatus(0x80);
const C1 = inStatus(0x200);
const PRECISION = 0x20;
const TOP = inStatus(0x3800);
const TOP_SHIFT = STATUS_SHIFT + 11;
const ROUNDING_CONTROL = 0xc00;
const EXPONENT_BIAS = 16383;
const INTEGER_BIT = i64.const(1n << 63n);
const ONE_EXPONENT = 0x3fff;

/** What is stored of a register: 64 bits of significand, then sign and exponent in 16. */
interface Extended {
  readonly significand: I64;
  readonly signExponent: I64;
}

/** The stack as an instruction finds it. What is not as usual is left to the helper, before anything is changed. */
class Stack {
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

  /** Ends the instruction: where it was, C1 and `flags` (as they lie in `word`), and the stack moved by a push or pop. */
  finish(moved: -1 | 0 | 1, flags: I32 = i32.const(0), memory = false): void {
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
    const kept = i32.and(this.word, i32.const(~(C1 | (moved === 0 ? 0 : TOP))));
    if (moved === 0) {
      s.setState32(State.FpuControl, i32.or(kept, flags));
      return;
    }
    const top = this.physical(moved);
    const placed = i32.or(kept, i32.shl(top, i32.const(TOP_SHIFT)));
    s.setState32(State.FpuControl, i32.or(placed, flags));
    const bit = f.let(i32.shl(i32.const(1), moved < 0 ? top : this.#top));
    const tags =
      moved < 0
        ? i32.or(this.#tags, bit)
        : i32.and(this.#tagsAfterSet ?? this.#tags, i32.xor(bit, i32.const(-1)));
    s.setState32(State.FpuTag, tags);
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
const index = (s: InstructionContext, operand: number): I32 => s.f.let(s.stackIndex(operand));

function push(s: InstructionContext, value: (stack: Stack) => Extended, memory = false): void {
  const stack = new Stack(s);
  const loaded = value(stack);
  const register = stack.physical(-1);
  stack.need(register, false);
  stack.set(register, loaded);
  stack.finish(-1, undefined, memory);
}

/** A double's bits as an extended number. Denormals, infinities and NaNs are left to the helper. */
function extendedOf(s: InstructionContext, bits: I64): Extended {
  const { f } = s;
  const exponent = f.let(i64.and(i64.shr_u(bits, i64.const(52)), i64.const(0x7ff)));
  const fraction = f.let(i64.shl(bits, i64.const(12)));
  const isZero = f.let(i64.eqz(i64.or(exponent, fraction)));
  // Exponents 1 to 2046 are usual.
  const usual = i64.lt_u(i64.sub(exponent, i64.const(1)), i64.const(0x7fe));
  f.if(unlikely(i32.eqz(i32.or(usual, isZero))), () => s.help());
  const sign = f.let(i64.shl(i64.shr_u(bits, i64.const(63)), i64.const(15)));
  const significand = i64.or(i64.shr_u(fraction, i64.const(1)), INTEGER_BIT);
  const biased = i64.add(exponent, i64.const(EXPONENT_BIAS - 1023));
  return {
    significand: f.let(select(isZero, i64.const(0), significand)),
    signExponent: f.let(i64.or(sign, select(isZero, i64.const(0), biased))),
  };
}

/** A number in memory of 32 or 64 bits. */
function loadFloat(s: InstructionContext, width: 32 | 64): Extended {
  const { f } = s;
  if (width === 64) return extendedOf(s, f.let(toI64(s.getLow(0, 64))));
  const bits = f.let(toI32(s.getLow(0, 32)));
  const magnitude = f.let(i32.and(bits, i32.const(0x7fffffff)));
  const usual = i32.lt_u(i32.sub(magnitude, i32.const(0x800000)), i32.const(0x7f000000));
  f.if(unlikely(i32.eqz(i32.or(usual, i32.eqz(magnitude)))), () => s.help());
  return extendedOf(s, f.let(i64.reinterpret_f64(f64.promote_f32(f32.reinterpret_i32(bits)))));
}

/**
 * The bits of a double or single number that is nearest to an extended one, and the flags that go with it. Whatever has
 * another exponent than such numbers have is left to the helper, and inexact ones under unusual control words.
 */
function rounded(
  s: InstructionContext,
  { significand, signExponent }: Extended,
  width: 32 | 64,
  control: I32,
): { readonly bits: I64; readonly flags: I32 } {
  const { f } = s;
  const [precision, bias] = width === 64 ? [53, 1023] : [24, 127];
  const dropped = 64 - precision;
  const biased = f.let(i64.and(signExponent, i64.const(0x7fff)));
  const isZero = f.let(i64.eqz(i64.or(biased, significand)));
  const exponent = f.let(i64.sub(biased, i64.const(EXPONENT_BIAS - bias)));
  // From 1 to two below the largest, so that rounding up does not overflow.
  const inRange = i64.lt_u(i64.sub(exponent, i64.const(1)), i64.const(2 * bias - 1));
  const normal = i64.lt_s(significand, i64.const(0));
  f.if(unlikely(i32.eqz(i32.or(i32.and(inRange, normal), isZero))), () => s.help());
  const rest = f.let(i64.and(significand, i64.const((1n << BigInt(dropped)) - 1n)));
  const unusual = i32.const(ROUNDING_CONTROL | PRECISION);
  const inexact = f.let(i64.ne(rest, i64.const(0)));
  const usual = i32.eq(i32.and(control, unusual), i32.const(PRECISION));
  f.if(unlikely(i32.and(inexact, i32.eqz(usual))), () => s.help());
  const kept = f.let(i64.shr_u(significand, i64.const(dropped)));
  const half = i64.const(1n << BigInt(dropped - 1));
  const tie = i32.and(i64.eq(rest, half), i32.wrap_i64(i64.and(kept, i64.const(1))));
  const up = f.let(i32.or(i64.gt_u(rest, half), tie));
  // The integer bit counts as one more of the exponent.
  const magnitude = i64.add(
    i64.shl(i64.sub(exponent, i64.const(1)), i64.const(precision - 1)),
    i64.add(kept, i64.extend_i32_u(up)),
  );
  const sign = i64.shl(i64.shr_u(signExponent, i64.const(15)), i64.const(width - 1));
  return {
    bits: f.let(i64.or(sign, select(isZero, i64.const(0), magnitude))),
    flags: f.let(
      i32.or(
        i32.shl(inexact, i32.const(STATUS_SHIFT + 5)),
        i32.shl(up, i32.const(STATUS_SHIFT + 9)),
      ),
    ),
  };
}

const memoryWidth = (s: InstructionContext): number | undefined => {
  const [operand] = s.shape.operands;
  return operand?.class === "memory" ? operand.bits : undefined;
};

const store = (pops: boolean): Description => ({
  group: "vector",
  describe(s) {
    const width = memoryWidth(s);
    if (width === 80) {
      s.help();
      return;
    }
    const stack = new Stack(s);
    const top = stack.physical(0);
    stack.need(top, true);
    const value = stack.get(top);
    if (width === 64 || width === 32) {
      const { bits, flags } = rounded(s, value, width, stack.word);
      s.setLow(0, width, width === 64 ? bits : i32.wrap_i64(bits));
      stack.finish(pops ? 1 : 0, flags, true);
      return;
    }
    const register = stack.physical(index(s, 0));
    stack.set(register, value);
    stack.fill(register);
    stack.finish(pops ? 1 : 0);
  },
});

const constantOf = (value: Extended): Description => ({
  group: "vector",
  describe: (s) => push(s, () => value),
});

/** FCHS and FABS. */
const changeSign = (change: (signExponent: I64) => I64): Description => ({
  group: "vector",
  describe(s) {
    const stack = new Stack(s);
    const top = stack.physical(0);
    stack.need(top, true);
    const { significand, signExponent } = stack.get(top);
    stack.set(top, { significand, signExponent: s.f.let(change(signExponent)) });
    stack.finish(0);
  },
});

/**
 * The x87 instructions that move numbers (Intel SDM vol. 2), as they usually are: the registers that they read are full, those
 * that they fill empty, and numbers in memory are neither denormals nor infinities nor NaNs. All else is the helpers'.
 */
export const x87Move: Descriptions = {
  fld: {
    group: "vector",
    describe(s) {
      const width = memoryWidth(s);
      if (width === 80) {
        s.help();
        return;
      }
      if (width === 64 || width === 32) {
        push(s, () => loadFloat(s, width), true);
        return;
      }
      push(s, (stack) => {
        const register = stack.physical(index(s, 0));
        stack.need(register, true);
        return stack.get(register);
      });
    },
  },
  fild: {
    group: "vector",
    describe(s) {
      const { f } = s;
      push(
        s,
        () => {
          const read = f.let(s.get(0));
          const value = f.let(signed(read, memoryWidth(s)));
          const sign = f.let(i64.shr_s(value, i64.const(63)));
          const magnitude = f.let(i64.sub(i64.xor(value, sign), sign));
          const zeros = f.let(i64.clz(magnitude));
          const exponent = i64.sub(i64.const(EXPONENT_BIAS + 63), zeros);
          const isZero = f.let(i64.eqz(magnitude));
          return {
            significand: f.let(i64.shl(magnitude, zeros)),
            signExponent: f.let(
              i64.or(i64.and(sign, i64.const(0x8000)), select(isZero, i64.const(0), exponent)),
            ),
          };
        },
        true,
      );
    },
  },
  fst: store(false),
  fstp: store(true),
  fxch: {
    group: "vector",
    describe(s) {
      const stack = new Stack(s);
      const [top, other] = [stack.physical(0), stack.physical(index(s, 1))];
      stack.need(top, true);
      stack.need(other, true);
      const [first, second] = [stack.get(top), stack.get(other)];
      stack.set(top, second);
      stack.set(other, first);
      stack.finish(0);
    },
  },
  fldz: constantOf({ significand: i64.const(0), signExponent: i64.const(0) }),
  fld1: constantOf({ significand: INTEGER_BIT, signExponent: i64.const(ONE_EXPONENT) }),
  fchs: changeSign((value) => i64.xor(value, i64.const(0x8000))),
  fabs: changeSign((value) => i64.and(value, i64.const(0x7fff))),
  fnstsw: {
    group: "vector",
    describe(s) {
      // One in memory is rare, and this one does not wait.
      if (memoryWidth(s) !== undefined) {
        s.help();
        return;
      }
      const status = i32.shr_u(s.state32(State.FpuControl), i32.const(STATUS_SHIFT));
      s.setRegister(Register.Rax, 16, status);
    },
  },
};

function signed(value: I32 | I64, width: number | undefined): I64 {
  if (width === 64) return toI64(value);
  const word = i64.extend_i32_s(toI32(value));
  return width === 16 ? i64.extend16_s(word) : word;
}
