import { i32, i64, unlikely } from "../wasm/index.ts";
import type { I32, I64, Int } from "../wasm/index.ts";
import { widthOf } from "./arithmetic.ts";
import type { Description, Descriptions, InstructionContext, Width } from "./context.ts";
import { setRotateFlags } from "./flags.ts";
import { mul, signExtend64, toI32, toI64 } from "./integer-ops.ts";

const DIVIDE_ERROR = 0;

/** The high 64 bits of an unsigned 64 × 64 product, from four 32-bit ones. */
export function highProduct(s: InstructionContext, a: I64, b: I64): I64 {
  const { f } = s;
  const low32 = (x: I64): I64 => i64.and(x, i64.const(0xffffffffn));
  const high32 = (x: I64): I64 => i64.shr_u(x, i64.const(32));
  const [a0, a1, b0, b1] = [low32(a), high32(a), low32(b), high32(b)].map((x) => f.let(x)) as [
    I64,
    I64,
    I64,
    I64,
  ];
  const t = f.let(i64.add(i64.mul(a1, b0), high32(i64.mul(a0, b0))));
  const u = f.let(i64.add(i64.mul(a0, b1), low32(t)));
  return i64.add(i64.mul(a1, b1), i64.add(high32(t), high32(u)));
}

/** The high 64 bits of a signed 64 × 64 product. */
function highProductSigned(s: InstructionContext, a: I64, b: I64): I64 {
  const correction = i64.add(
    i64.and(i64.shr_s(a, i64.const(63)), b),
    i64.and(i64.shr_s(b, i64.const(63)), a),
  );
  return i64.sub(highProduct(s, a, b), correction);
}

/** CF and OF say that the product does not fit; the other flags are undefined and stay. */
function setOverflow(s: InstructionContext, overflow: I32): void {
  const both = s.f.let(overflow);
  setRotateFlags(s, both, both);
}

/** MUL and one-operand IMUL: rDX:rAX = rAX × source (AX for bytes). */
function multiplyAccumulator(signed: boolean): Description {
  return {
    describe(s) {
      const { f } = s;
      const width = widthOf(s, 0);
      const extend = (value: Int): I64 => (signed ? signExtend64(width, value) : toI64(value));
      const source = f.let(extend(f.let(s.get(0))));
      const accumulator = f.let(extend(f.let(s.registerPart(0, width))));
      const product = f.let(i64.mul(accumulator, source));
      if (width === 64) {
        const high = f.let(
          signed ? highProductSigned(s, accumulator, source) : highProduct(s, accumulator, source),
        );
        s.setRegister(0, 64, product);
        s.setRegister(2, 64, high);
        setOverflow(s, i64.ne(high, signed ? i64.shr_s(product, i64.const(63)) : i64.const(0)));
        return;
      }
      if (width === 8) s.setRegister(0, 16, i32.wrap_i64(product));
      else {
        s.setRegister(0, width, i32.wrap_i64(product));
        s.setRegister(2, width, i32.wrap_i64(i64.shr_u(product, i64.const(width))));
      }
      const fits = signed
        ? signExtend64(width, product)
        : i64.and(product, i64.const(2n ** BigInt(width) - 1n));
      setOverflow(s, i64.ne(product, fits));
    },
  };
}

/** IMUL with two or three operands: destination = first × second factor, truncated. */
const multiplyTruncated = (s: InstructionContext): void => {
  const { f } = s;
  const width = widthOf(s, 0);
  const three = s.shape.operands.length === 3;
  const a = f.let(s.get(three ? 1 : 0));
  const b = f.let(s.get(three ? 2 : 1));
  if (width === 64) {
    const product = f.let(mul(a, b));
    const high = f.let(highProductSigned(s, toI64(a), toI64(b)));
    s.set(0, product);
    setOverflow(s, i64.ne(high, i64.shr_s(toI64(product), i64.const(63))));
    return;
  }
  const product = f.let(i64.mul(signExtend64(width, a), signExtend64(width, b)));
  s.set(0, i32.wrap_i64(product));
  setOverflow(s, i64.ne(product, signExtend64(width, product)));
};

/** DIV and IDIV; flags are undefined and stay. 128-bit dividends that need it go to the helper. */
function divide(signed: boolean): Description {
  return {
    describe(s) {
      const { f } = s;
      const width = widthOf(s, 0);
      const extend = (value: Int): I64 => (signed ? signExtend64(width, value) : toI64(value));
      const divisor = f.let(extend(f.let(s.get(0))));
      f.if(unlikely(i64.eqz(divisor)), () => s.raise(DIVIDE_ERROR));
      if (width === 64) {
        divide64(s, divisor, signed);
        return;
      }
      const dividend = f.let(dividendOf(s, width, signed));
      if (signed) {
        const smallest = i64.eq(dividend, i64.const(-(2n ** 63n)));
        f.if(unlikely(i32.and(smallest, i64.eq(divisor, i64.const(-1)))), () =>
          s.raise(DIVIDE_ERROR),
        );
      }
      const quotient = f.let(signed ? i64.div_s(dividend, divisor) : i64.div_u(dividend, divisor));
      const fits = signed
        ? signExtend64(width, quotient)
        : i64.and(quotient, i64.const(2n ** BigInt(width) - 1n));
      f.if(unlikely(i64.ne(quotient, fits)), () => s.raise(DIVIDE_ERROR));
      const remainder = f.let(i64.sub(dividend, i64.mul(quotient, divisor)));
      if (width === 8) {
        const both = i32.or(
          i32.and(toI32(quotient), i32.const(0xff)),
          i32.shl(toI32(remainder), i32.const(8)),
        );
        s.setRegister(0, 16, both);
      } else {
        s.setRegister(0, width, toI32(quotient));
        s.setRegister(2, width, toI32(remainder));
      }
    },
  };
}

/** The dividend of an 8-, 16- or 32-bit division: AX or rDX:rAX. */
function dividendOf(s: InstructionContext, width: Width, signed: boolean): I64 {
  if (width === 8) {
    const ax = s.registerPart(0, 16);
    return signed ? signExtend64(16, ax) : toI64(ax);
  }
  const both = i64.or(
    i64.shl(toI64(s.registerPart(2, width)), i64.const(width)),
    toI64(s.registerPart(0, width)),
  );
  return width === 16 && signed ? i64.extend32_s(both) : both;
}

function divide64(s: InstructionContext, divisor: I64, signed: boolean): void {
  const { f } = s;
  const low = f.let(s.register(0));
  const high = f.let(s.register(2));
  const narrow = signed
    ? i32.and(
        i64.eq(high, i64.shr_s(low, i64.const(63))),
        i32.eqz(i32.and(i64.eq(low, i64.const(-(2n ** 63n))), i64.eq(divisor, i64.const(-1)))),
      )
    : i64.eqz(high);
  f.if(
    narrow,
    () => {
      const quotient = f.let(signed ? i64.div_s(low, divisor) : i64.div_u(low, divisor));
      s.setRegister(2, 64, i64.sub(low, i64.mul(quotient, divisor)));
      s.setRegister(0, 64, quotient);
    },
    () => s.help(),
  );
}

/** Multiplication and division (Intel SDM vol. 1, 5.1.2). */
export const multiply: Descriptions = {
  mul: multiplyAccumulator(false),
  imul: {
    describe(s) {
      if (s.shape.operands.length === 1) multiplyAccumulator(true).describe(s);
      else multiplyTruncated(s);
    },
  },
  div: divide(false),
  idiv: divide(true),
};
