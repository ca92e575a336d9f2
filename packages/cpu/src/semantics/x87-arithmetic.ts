import { i32, i64, select, unlikely } from "../wasm/index.ts";
import type { I32, I64, Local } from "../wasm/index.ts";
import type { Description, Descriptions, InstructionContext } from "./context.ts";
import { highProduct } from "./multiply.ts";
import { loadFloat } from "./x87-move.ts";
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

const PRECISION_CONTROL = 0x300;
const SIGN = i64.const(0x8000);
const LOW_32 = i64.const(0xffffffffn);

/** A number that is neither zero nor denormal, infinite or no number at all. */
interface Normal {
  readonly sign: I64;
  readonly exponent: I64;
  readonly significand: I64;
}

/** A result before it is rounded: 64 bits of significand, and below them 64 more, of which the lowest stands for all behind it. */
interface Exact extends Normal {
  readonly rest: I64;
}

type Operation = (s: InstructionContext, a: Normal, b: Normal) => Exact;

function normal(s: InstructionContext, { significand, signExponent }: Extended): Normal {
  const { f } = s;
  const exponent = f.let(i64.and(signExponent, i64.const(0x7fff)));
  const usual = i64.lt_u(i64.sub(exponent, i64.const(1)), i64.const(0x7ffe));
  const whole = i64.lt_s(significand, i64.const(0));
  f.if(unlikely(i32.eqz(i32.and(usual, whole))), () => s.help());
  return { sign: f.let(i64.and(signExponent, SIGN)), exponent, significand };
}

/** To the nearest, ties to even. Results that are not normal are left to the helper. */
function rounded(s: InstructionContext, exact: Exact): { value: Extended; flags: I32 } {
  const { f } = s;
  const { sign, exponent, significand, rest } = exact;
  const tie = i32.and(i64.eq(rest, INTEGER_BIT), i32.wrap_i64(i64.and(significand, i64.const(1))));
  const up = f.let(i32.or(i64.gt_u(rest, INTEGER_BIT), tie));
  const sum = f.let(i64.add(significand, i64.extend_i32_u(up)));
  const carries = f.let(i64.eqz(sum));
  const biased = f.let(i64.add(exponent, i64.extend_i32_u(carries)));
  // Two above zero, for what is tiny before it is rounded is the helper's.
  const usual = i64.lt_u(i64.sub(biased, i64.const(2)), i64.const(0x7ffd));
  f.if(unlikely(i32.eqz(usual)), () => s.help());
  const inexact = i64.ne(rest, i64.const(0));
  return {
    value: {
      significand: f.let(select(carries, INTEGER_BIT, sum)),
      signExponent: f.let(i64.or(sign, biased)),
    },
    flags: f.let(
      i32.or(
        i32.shl(inexact, i32.const(STATUS_SHIFT + 5)),
        i32.shl(up, i32.const(STATUS_SHIFT + 9)),
      ),
    ),
  };
}

/** a + b, or a − b. */
const add =
  (subtract: boolean): Operation =>
  (s, a, b) => {
    const { f } = s;
    const negated = subtract ? i64.xor(b.sign, SIGN) : b.sign;
    const otherSign = f.let(negated);
    // The larger one first: by exponent, then by significand.
    const isLess = f.let(
      i32.or(
        i64.lt_u(a.exponent, b.exponent),
        i32.and(i64.eq(a.exponent, b.exponent), i64.lt_u(a.significand, b.significand)),
      ),
    );
    const pick = (x: I64, y: I64): I64 => f.let(select(isLess, y, x));
    const sign = pick(a.sign, otherSign);
    const exponent = f.local("i64");
    f.set(exponent, pick(a.exponent, b.exponent));
    const large = pick(a.significand, b.significand);
    const small = pick(b.significand, a.significand);
    const distance = f.let(i64.sub(exponent.get, pick(b.exponent, a.exponent)));
    const high = f.local("i64");
    const low = f.local("i64");
    // The smaller one, moved down by the distance.
    f.if(
      i64.lt_u(distance, i64.const(64)),
      () => {
        f.set(high, i64.shr_u(small, distance));
        // In two steps, for a shift by 64 is one by 0.
        const below = i64.shl(small, i64.sub(i64.const(63), distance));
        f.set(low, i64.shl(below, i64.const(1)));
      },
      () => {
        f.set(high, i64.const(0));
        // At 64 and above all of it lies below; from 128 on it is only not nothing.
        const moved = f.let(i64.sub(distance, i64.const(64)));
        f.if(
          i64.lt_u(moved, i64.const(64)),
          () => {
            const kept = f.let(i64.shr_u(small, moved));
            const lost = i64.ne(i64.shl(kept, moved), small);
            f.set(low, i64.or(kept, i64.extend_i32_u(lost)));
          },
          () => f.set(low, i64.const(1)),
        );
      },
    );
    f.if(
      i64.eq(a.sign, otherSign),
      () => {
        const sum = f.let(i64.add(large, high.get));
        f.set(high, sum);
        f.if(i64.lt_u(sum, large), () => {
          // One bit more: all moves down, and the lowest of `low` is 0 where anything could be carried.
          const moved = i64.shr_u(low.get, i64.const(1));
          f.set(low, i64.or(moved, i64.shl(sum, i64.const(63))));
          f.set(high, i64.or(i64.shr_u(sum, i64.const(1)), INTEGER_BIT));
          f.set(exponent, i64.add(exponent.get, i64.const(1)));
        });
      },
      () => {
        const borrow = i64.extend_i32_u(i64.ne(low.get, i64.const(0)));
        f.set(high, i64.sub(i64.sub(large, high.get), borrow));
        f.set(low, i64.sub(i64.const(0), low.get));
        normalize(s, high, low, exponent);
      },
    );
    return { sign, exponent: exponent.get, significand: high.get, rest: low.get };
  };

/** Moves a difference up until its highest bit is set; one that is 0 is left to the helper. */
function normalize(
  s: InstructionContext,
  high: Local<"i64">,
  low: Local<"i64">,
  exponent: Local<"i64">,
): void {
  const { f } = s;
  f.if(i64.eqz(high.get), () => {
    f.set(high, low.get);
    f.set(low, i64.const(0));
    f.set(exponent, i64.sub(exponent.get, i64.const(64)));
  });
  f.if(unlikely(i64.eqz(high.get)), () => s.help());
  const zeros = f.let(i64.clz(high.get));
  f.if(i64.ne(zeros, i64.const(0)), () => {
    const down = i64.shr_u(low.get, i64.sub(i64.const(64), zeros));
    f.set(high, i64.or(i64.shl(high.get, zeros), down));
    f.set(low, i64.shl(low.get, zeros));
    f.set(exponent, i64.sub(exponent.get, zeros));
  });
}

const multiply: Operation = (s, a, b) => {
  const { f } = s;
  const high = f.let(highProduct(s, a.significand, b.significand));
  const low = f.let(i64.mul(a.significand, b.significand));
  // The product has 128 bits or one less.
  const short = f.let(i64.shr_u(i64.xor(high, i64.const(-1)), i64.const(63)));
  const carried = i64.and(i64.shr_u(low, i64.const(63)), short);
  const sum = i64.sub(i64.add(a.exponent, b.exponent), i64.const(EXPONENT_BIAS - 1));
  return {
    sign: f.let(i64.xor(a.sign, b.sign)),
    exponent: f.let(i64.sub(sum, short)),
    significand: f.let(i64.or(i64.shl(high, short), carried)),
    rest: f.let(i64.shl(low, short)),
  };
};

/** A digit of 32 bits of a quotient (Knuth, The Art of Computer Programming, 4.3.1, algorithm D), and what remains. */
function digit(
  s: InstructionContext,
  numerator: I64,
  next: I64,
  divisor: I64,
): { quotient: I64; rest: I64 } {
  const { f } = s;
  const high = f.let(i64.shr_u(divisor, i64.const(32)));
  const low = f.let(i64.and(divisor, LOW_32));
  const quotient = f.local("i64");
  const rest = f.local("i64");
  f.set(quotient, i64.div_u(numerator, high));
  f.set(rest, i64.sub(numerator, i64.mul(quotient.get, high)));
  // It is too large by two at most.
  for (let i = 0; i < 2; i++) {
    const within = i64.lt_u(rest.get, i64.const(2 ** 32));
    const over = i32.or(
      i64.gt_u(quotient.get, LOW_32),
      i64.gt_u(i64.mul(quotient.get, low), i64.or(i64.shl(rest.get, i64.const(32)), next)),
    );
    f.if(i32.and(within, over), () => {
      f.set(quotient, i64.sub(quotient.get, i64.const(1)));
      f.set(rest, i64.add(rest.get, high));
    });
  }
  const whole = i64.or(i64.shl(numerator, i64.const(32)), next);
  return {
    quotient: f.let(quotient.get),
    rest: f.let(i64.sub(whole, i64.mul(quotient.get, divisor))),
  };
}

const divide: Operation = (s, a, b) => {
  const { f } = s;
  const divisor = b.significand;
  // The quotient has its highest bit set: the numerator is moved up by 63 bits, or by 64 if it is smaller.
  const isLess = f.let(i64.extend_i32_u(i64.lt_u(a.significand, divisor)));
  const whole = i64.xor(isLess, i64.const(1));
  const high = f.let(i64.shr_u(a.significand, whole));
  const low = f.let(i64.shl(i64.and(a.significand, whole), i64.const(63)));
  const first = digit(s, high, f.let(i64.shr_u(low, i64.const(32))), divisor);
  const second = digit(s, first.rest, f.let(i64.and(low, LOW_32)), divisor);
  const quotient = i64.or(i64.shl(first.quotient, i64.const(32)), second.quotient);
  // What remains, compared with half of the divisor.
  const remainder = second.rest;
  const other = f.let(i64.sub(divisor, remainder));
  const above = i64.or(
    i64.shl(i64.extend_i32_u(i64.ge_u(remainder, other)), i64.const(63)),
    i64.extend_i32_u(i32.and(i64.ne(remainder, other), i64.ne(remainder, i64.const(0)))),
  );
  const difference = i64.sub(a.exponent, b.exponent);
  return {
    sign: f.let(i64.xor(a.sign, b.sign)),
    exponent: f.let(i64.sub(i64.add(difference, i64.const(EXPONENT_BIAS)), isLess)),
    significand: f.let(quotient),
    rest: f.let(above),
  };
};

/** The operation on ST(0) and memory, or on two registers; with `reverse` the operands change places. */
const arithmetic = (operation: Operation, reverse: boolean, pops: boolean): Description => ({
  group: "vector",
  describe(s) {
    const { f } = s;
    const stack = new Stack(s);
    const usual = i32.const(PRECISION_CONTROL | ROUNDING_CONTROL | PRECISION);
    const asUsual = i32.const(PRECISION_CONTROL | PRECISION);
    f.if(unlikely(i32.ne(i32.and(stack.word, usual), asUsual)), () => s.help());
    const width = memoryWidth(s);
    const target = stack.physical(width === undefined ? index(s, 0) : 0);
    stack.need(target, true);
    let source: Extended;
    if (width === 64 || width === 32) source = loadFloat(s, width);
    else {
      const register = stack.physical(index(s, 1));
      stack.need(register, true);
      source = stack.get(register);
    }
    const [x, y] = [normal(s, stack.get(target)), normal(s, source)];
    const { value, flags } = rounded(s, reverse ? operation(s, y, x) : operation(s, x, y));
    stack.set(target, value);
    stack.finish(pops ? 1 : 0, { flags, memory: width !== undefined });
  },
});

/** The x87's four operations (Intel SDM vol. 2) on normal numbers, with 64 bits and rounding to nearest; all else is the helpers'. */
export const x87Arithmetic: Descriptions = {
  fadd: arithmetic(add(false), false, false),
  faddp: arithmetic(add(false), false, true),
  fmul: arithmetic(multiply, false, false),
  fmulp: arithmetic(multiply, false, true),
  fsub: arithmetic(add(true), false, false),
  fsubp: arithmetic(add(true), false, true),
  fsubr: arithmetic(add(true), true, false),
  fsubrp: arithmetic(add(true), true, true),
  fdiv: arithmetic(divide, false, false),
  fdivp: arithmetic(divide, false, true),
  fdivr: arithmetic(divide, true, false),
  fdivrp: arithmetic(divide, true, true),
};
