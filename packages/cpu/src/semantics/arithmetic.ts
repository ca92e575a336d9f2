import { i32, i64, select } from "../wasm/index.ts";
import type { I32, Int } from "../wasm/index.ts";
import type { Description, Descriptions, InstructionContext, Width } from "./context.ts";
import { carryFlag, setAddFlags, setLogicFlags, setSubFlags } from "./flags.ts";
import {
  add,
  and,
  choose,
  constant,
  eq,
  not,
  or,
  sub,
  swapBytes,
  toI64,
  xor,
} from "./integer-ops.ts";

/** The width of an integer operand. */
export function widthOf(s: InstructionContext, operand: number): Width {
  const bits = s.shape.operands[operand]?.bits;
  if (bits === 8 || bits === 16 || bits === 32 || bits === 64) return bits;
  throw new RangeError(`${s.shape.key}: operand ${operand} is no integer`);
}

type Binary = (
  s: InstructionContext,
  width: Width,
  a: Int,
  b: Int,
) => { result: Int; flags: (result: Int) => void };

const additive: Record<"add" | "sub" | "adc" | "sbb", Binary> = {
  add: (s, width, a, b) => ({
    result: add(a, b),
    flags: (result) => setAddFlags(s, width, a, b, result),
  }),
  sub: (s, width, a, b) => ({
    result: sub(a, b),
    flags: (result) => setSubFlags(s, width, a, b, result),
  }),
  adc: (s, width, a, b) => ({
    result: add(add(a, b), carryAs(s, width)),
    flags: (result) => s.setOperationFlags("adc", width, a, b, result),
  }),
  sbb: (s, width, a, b) => ({
    result: sub(sub(a, b), carryAs(s, width)),
    flags: (result) => s.setOperationFlags("sbb", width, a, b, result),
  }),
};

function carryAs(s: InstructionContext, width: Width): Int {
  return width === 64 ? toI64(carryFlag(s)) : carryFlag(s);
}

function logic(operate: (a: Int, b: Int) => Int): Binary {
  return (s, width, a, b) => ({
    result: operate(a, b),
    flags: (result) => setLogicFlags(s, width, result),
  });
}

/** `destination = destination op source`, with flags. */
function twoOperand(operate: Binary): Description {
  return {
    describe(s) {
      const width = widthOf(s, 0);
      const source = s.f.let(s.get(1));
      s.update(0, (old) => {
        const { result, flags } = operate(s, width, old, source);
        const kept = s.f.let(result);
        flags(kept);
        return kept;
      });
    },
  };
}

/** Flags of an operation whose result is thrown away. */
function compareOnly(operate: Binary): Description {
  return {
    describe(s) {
      const source = s.f.let(s.get(1));
      const first = s.f.let(s.get(0));
      const { result, flags } = operate(s, widthOf(s, 0), first, source);
      flags(s.f.let(result));
    },
  };
}

function incDec(direction: "inc" | "dec"): Description {
  return {
    describe(s) {
      const width = widthOf(s, 0);
      s.update(0, (old) => {
        const one = constant(width, 1);
        const result = s.f.let(direction === "inc" ? add(old, one) : sub(old, one));
        s.setOperationFlags(direction, width, old, one, result);
        return result;
      });
    },
  };
}

/** Integer addition, subtraction and logic (Intel SDM vol. 1, 5.1.2 and 5.1.4). */
export const arithmetic: Descriptions = {
  add: twoOperand(additive.add),
  adc: twoOperand(additive.adc),
  sub: twoOperand(additive.sub),
  sbb: twoOperand(additive.sbb),
  and: twoOperand(logic(and)),
  or: twoOperand(logic(or)),
  xor: twoOperand(logic(xor)),
  cmp: compareOnly(additive.sub),
  test: compareOnly(logic(and)),
  inc: incDec("inc"),
  dec: incDec("dec"),
  not: { describe: (s) => s.update(0, (old) => not(old)) },
  neg: {
    describe(s) {
      const width = widthOf(s, 0);
      s.update(0, (old) => {
        const zero = constant(width, 0);
        const result = s.f.let(sub(zero, old));
        setSubFlags(s, width, zero, old, result);
        return result;
      });
    },
  },
  xadd: {
    group: "rare",
    describe(s) {
      const width = widthOf(s, 0);
      const source = s.f.let(s.get(1));
      s.update(0, (old) => {
        const result = s.f.let(add(old, source));
        setAddFlags(s, width, old, source, result);
        s.set(1, old);
        return result;
      });
    },
  },
  cmpxchg: {
    group: "rare",
    describe(s) {
      const width = widthOf(s, 0);
      const source = s.f.let(s.get(1));
      const expected = s.f.let(s.registerPart(0, width));
      const compare = (old: Int): I32 => {
        setSubFlags(s, width, expected, old, s.f.let(sub(expected, old)));
        return s.f.let(eq(expected, old));
      };
      if (s.shape.operands[0]?.class === "register") {
        // A register is written only when it matched: otherwise its upper half stays.
        const old = s.f.let(s.get(0));
        s.f.if(
          compare(old),
          () => s.set(0, source),
          () => s.setRegister(0, width, old),
        );
        return;
      }
      s.update(0, (old) => {
        const equal = compare(old);
        s.f.if(i32.eqz(equal), () => s.setRegister(0, width, old));
        return s.f.let(choose(equal, source, old));
      });
    },
  },
  // CBW, CWDE, CDQE: the low half of the accumulator into the whole.
  cbw: {
    describe(s) {
      const { size } = s.shape;
      const rax = s.register(0);
      const value =
        size === 64
          ? i64.extend32_s(rax)
          : size === 32
            ? i32.extend16_s(i32.wrap_i64(rax))
            : i32.extend8_s(i32.wrap_i64(rax));
      s.setRegister(0, size, value);
    },
  },
  // CWD, CDQ, CQO: the sign of the accumulator into rDX.
  cwd: {
    describe(s) {
      const { size } = s.shape;
      const rax = s.register(0);
      const value =
        size === 64
          ? i64.shr_s(rax, i64.const(63))
          : size === 32
            ? i32.shr_s(i32.wrap_i64(rax), i32.const(31))
            : i32.shr_s(i32.extend16_s(i32.wrap_i64(rax)), i32.const(15));
      s.setRegister(2, size, value);
    },
  },
  bswap: {
    group: "rare",
    describe(s) {
      const width = widthOf(s, 0);
      // A 16-bit BSWAP is undefined; processors clear the word.
      if (width === 16) s.set(0, i32.const(0));
      else if (width !== 8) s.set(0, swapBytes(s.f, width, s.get(0)));
    },
  },
  salc: {
    group: "rare",
    describe: (s) => s.setRegister(0, 8, select(carryFlag(s), i32.const(0xff), i32.const(0))),
  },
};
