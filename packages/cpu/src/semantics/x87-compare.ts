import { Flag } from "../state/layout.ts";
import { i32, i64, select, unlikely } from "../wasm/index.ts";
import type { I32, I64 } from "../wasm/index.ts";
import type { Description, Descriptions, InstructionContext } from "./context.ts";
import { loadStatusFlags } from "./flags.ts";
import { loadFloat } from "./x87-move.ts";
import { STATUS_SHIFT, Stack, index, memoryWidth } from "./x87-stack.ts";
import type { Extended } from "./x87-stack.ts";

const C0 = 0x100 << STATUS_SHIFT;
const C3 = 0x4000 << STATUS_SHIFT;
const ZERO: Extended = { significand: i64.const(0), signExponent: i64.const(0) };

/** Leaves what is no normal number and not zero to the helper. */
function plain(s: InstructionContext, { significand, signExponent }: Extended): Extended {
  if (significand.constant !== undefined) return { significand, signExponent };
  const { f } = s;
  const exponent = f.let(i64.and(signExponent, i64.const(0x7fff)));
  const usual = i64.lt_u(i64.sub(exponent, i64.const(1)), i64.const(0x7ffe));
  const isNormal = i32.and(usual, i64.lt_s(significand, i64.const(0)));
  const isZero = i64.eqz(i64.or(exponent, significand));
  f.if(unlikely(i32.eqz(i32.or(isNormal, isZero))), () => s.help());
  return { significand, signExponent };
}

/** Whether a is less than b, and whether they are equal. */
function order(s: InstructionContext, a: Extended, b: Extended): { less: I32; equal: I32 } {
  const { f } = s;
  const bothZero = i64.eqz(i64.or(a.significand, b.significand));
  const same = i32.and(
    i64.eq(a.signExponent, b.signExponent),
    i64.eq(a.significand, b.significand),
  );
  const equal = f.let(i32.or(bothZero, same));
  const isNegative = (x: Extended): I64 => i64.shr_u(x.signExponent, i64.const(15));
  const [negativeA, negativeB] = [f.let(isNegative(a)), f.let(isNegative(b))];
  const smaller = i32.or(
    i64.lt_u(a.signExponent, b.signExponent),
    i32.and(i64.eq(a.signExponent, b.signExponent), i64.lt_u(a.significand, b.significand)),
  );
  // Of two negative numbers the larger one is less.
  const sameSign = f.let(i32.xor(smaller, i32.wrap_i64(negativeA)));
  const less = select(i64.eq(negativeA, negativeB), sameSign, i32.wrap_i64(negativeA));
  return { less: f.let(i32.and(less, i32.eqz(equal))), equal };
}

/** ST(0) with memory or a register; the ones without an operand compare with ST(1), FTST with 0. */
const compare = (pops: 0 | 1 | 2, zero = false): Description => ({
  group: "vector",
  describe(s) {
    const { f } = s;
    const stack = new Stack(s);
    const top = stack.physical(0);
    stack.need(top, true);
    const width = memoryWidth(s);
    let other = ZERO;
    if (width === 64 || width === 32) other = loadFloat(s, width);
    else if (!zero) {
      const register = stack.physical(s.shape.operands.length > 1 ? index(s, 1) : 1);
      stack.need(register, true);
      other = stack.get(register);
    }
    const { less, equal } = order(s, plain(s, stack.get(top)), plain(s, other));
    const one = select(less, i32.const(C0), i32.const(0));
    const flags = f.let(select(equal, i32.const(C3), one));
    stack.finish(pops, { flags, codes: true, memory: width !== undefined });
  },
});

/** The same with its outcome in the processor's flags. */
const compareToFlags = (pops: 0 | 1): Description => ({
  group: "vector",
  describe(s) {
    const { f } = s;
    const stack = new Stack(s);
    const [top, register] = [stack.physical(0), stack.physical(index(s, 1))];
    stack.need(top, true);
    stack.need(register, true);
    const { less, equal } = order(s, plain(s, stack.get(top)), plain(s, stack.get(register)));
    const one = select(less, i32.const(Flag.Cf), i32.const(0));
    loadStatusFlags(s, f.let(select(equal, i32.const(Flag.Zf), one)));
    stack.finish(pops, { keepsC1: true });
  },
});

/** The x87's comparisons (Intel SDM vol. 2) of normal numbers and zeros; all else is the helpers'. */
export const x87Compare: Descriptions = {
  fcom: compare(0),
  fcomp: compare(1),
  fcompp: compare(2),
  fucom: compare(0),
  fucomp: compare(1),
  fucompp: compare(2),
  ftst: compare(0, true),
  fcomi: compareToFlags(0),
  fcomip: compareToFlags(1),
  fucomi: compareToFlags(0),
  fucomip: compareToFlags(1),
};
