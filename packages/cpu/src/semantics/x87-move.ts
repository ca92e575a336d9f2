import { Register, State } from "../state/layout.ts";
import { f32, f64, i32, i64, select, unlikely } from "../wasm/index.ts";
import type { I32, I64 } from "../wasm/index.ts";
import type { Description, Descriptions, InstructionContext } from "./context.ts";
import { toI32, toI64 } from "./integer-ops.ts";
import {
  EXPONENT_BIAS,
  INTEGER_BIT,
  PRECISION,
  ROUNDING_CONTROL,
  STATUS_SHIFT,
  Stack,
  index,
  memoryWidth,
} from "./x87-stack.ts";
import type { Extended } from "./x87-stack.ts";

const ONE_EXPONENT = 0x3fff;

function push(s: InstructionContext, value: (stack: Stack) => Extended, memory = false): void {
  const stack = new Stack(s);
  const loaded = value(stack);
  const register = stack.physical(-1);
  stack.need(register, false);
  stack.set(register, loaded);
  stack.finish(-1, { memory });
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
export function loadFloat(s: InstructionContext, width: 32 | 64): Extended {
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
      stack.finish(pops ? 1 : 0, { flags, memory: true });
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
