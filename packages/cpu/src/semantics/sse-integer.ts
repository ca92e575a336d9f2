import { i16x8, i32, i32x4, i64, i64x2, i8x16, select, selectV128, v128 } from "../wasm/index.ts";
import type { I32, V128 } from "../wasm/index.ts";
import type { Description, Descriptions, InstructionContext } from "./context.ts";
import { setZeroAndCarry } from "./flags.ts";
import {
  ZERO,
  binary,
  immediate,
  isMmx,
  lanes,
  source,
  splat,
  unary,
  vector,
  write,
} from "./vector-operands.ts";

type Both = (a: V128, b: V128) => V128;
type Shift = (a: V128, count: I32) => V128;

/** The low halves of two vectors: what is one vector of MMX operands. */
const join = (a: V128, b: V128): V128 =>
  v128.shuffle(a, b, [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]);

/** Packs with saturation. */
const pack = (narrow: Both): Description =>
  binary((a, b, s) => {
    if (!isMmx(s)) return narrow(a, b);
    const both = s.f.let(join(a, b));
    return narrow(both, both);
  });

/** PHADD and PHSUB: neighbouring elements of the destination, then of the source. */
function horizontal(size: 2 | 4, operate: Both): Description {
  return binary((a, b, s) => {
    const half = (isMmx(s) ? 4 : 8) / size;
    const gather = (parity: number): V128 => {
      const bytes = Array.from({ length: 16 }, (_, i) => {
        const element = Math.floor(i / size);
        const from = element < half ? 2 * element : 2 * (element - half) + 16 / size;
        return ((from + parity) * size + (i % size)) % 32;
      });
      return v128.shuffle(a, b, bytes);
    };
    return operate(gather(0), gather(1));
  });
}

/** PSIGN: negated where the source is negative, zero where it is zero. */
function applySign(width: 8 | 16 | 32, shift: Shift, subtract: Both, equal: Both): Description {
  return binary((a, b, s) => {
    const negative = s.f.let(shift(b, i32.const(width - 1)));
    return v128.andnot(subtract(v128.xor(a, negative), negative), equal(b, ZERO));
  });
}

/** Shifts by an immediate or by the low 64 bits of the source: counts of the width and more shift everything out. */
function shift(width: 16 | 32 | 64, operate: Shift, arithmetic = false): Description {
  return vector((s) => {
    const { f } = s;
    const byImmediate = s.shape.operands[1]?.class === "immediate";
    let count: I32;
    let beyond: I32;
    if (byImmediate) {
      count = immediate(s, 1);
      beyond = i32.gt_u(count, i32.const(width - 1));
    } else {
      const full = f.let(i64x2.extract_lane(source(s, 1), 0));
      count = i32.wrap_i64(full);
      beyond = i64.gt_u(full, i64.const(width - 1));
    }
    const a = f.let(source(s, 0));
    if (arithmetic) write(s, operate(a, select(beyond, i32.const(width - 1), count)));
    else write(s, selectV128(beyond, ZERO, operate(a, count)));
  });
}

/** The upper halves of 16-bit products. */
const highProduct = (low: Both, high: Both): Description =>
  binary((a, b, s) => {
    const bytes = Array.from({ length: 16 }, (_, i) => (i >> 1) * 4 + 2 + (i & 1));
    return v128.shuffle(s.f.let(low(a, b)), s.f.let(high(a, b)), bytes);
  });

/** Products of the even dwords. */
const evenProduct = (multiply: Both): Description =>
  binary((a, b) => {
    const even = (value: V128): V128 =>
      v128.shuffle(value, value, [0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11]);
    return multiply(even(a), even(b));
  });

const absoluteDifference = (a: V128, b: V128): V128 =>
  i8x16.sub(i8x16.max_u(a, b), i8x16.min_u(a, b));

function multiplySignedUnsigned(a: V128, b: V128): V128 {
  const eight = i32.const(8);
  const even = i16x8.mul(v128.and(a, splat(2, 0xff)), i16x8.shr_s(i16x8.shl(b, eight), eight));
  return i16x8.add_sat_s(even, i16x8.mul(i16x8.shr_u(a, eight), i16x8.shr_s(b, eight)));
}

/** Sums of absolute differences of eight runs of four bytes of `a` with one of `b`. */
function multipleSums(a: V128, b: V128, s: InstructionContext): V128 {
  const { f } = s;
  const control = immediate(s, 2);
  const first = f.let(i32.and(control, i32.const(4)));
  const block = f.let(i32.shl(i32.and(control, i32.const(3)), i32.const(2)));
  const terms = [0, 1, 2, 3].map((offset) => {
    const numbers = lanes(
      1,
      Array.from({ length: 16 }, (_, i) => i + offset),
    );
    const run = v128.swizzle(a, i8x16.add(numbers, i8x16.splat(first)));
    const byte = v128.swizzle(b, i8x16.splat(i32.add(block, i32.const(offset))));
    const difference = absoluteDifference(f.let(run), f.let(byte));
    return f.let(i16x8.extend_low_i8x16_u(difference));
  });
  return terms.reduce(i16x8.add);
}

const roundedHighProduct = (a: V128, b: V128): V128 => {
  // WebAssembly saturates the one product that overflows: -1 times -1.
  const least = splat(2, 0x8000);
  const overflow = v128.and(i16x8.eq(a, least), i16x8.eq(b, least));
  return v128.xor(i16x8.q15mulr_sat_s(a, b), overflow);
};

const exclusiveOr = vector((s) => {
  const b = s.f.let(source(s, 1));
  // How registers are cleared.
  write(s, s.isSame(0, 1) ? ZERO : v128.xor(s.f.let(source(s, 0)), b));
}, "main");

const isZero = (value: V128): I32 => i32.eqz(v128.any_true(value));

/** Packed integer arithmetic of MMX, SSE2, SSSE3, SSE4.1 and SSE4.2 (Intel SDM vol. 1, 5.4–5.11). */
export const sseInteger: Descriptions = {
  pand: binary(v128.and, "main"),
  pandn: binary((a, b) => v128.andnot(b, a), "main"),
  por: binary(v128.or, "main"),
  pxor: exclusiveOr,
  andps: binary(v128.and, "main"),
  andpd: binary(v128.and, "main"),
  andnps: binary((a, b) => v128.andnot(b, a)),
  andnpd: binary((a, b) => v128.andnot(b, a)),
  orps: binary(v128.or),
  orpd: binary(v128.or),
  xorps: exclusiveOr,
  xorpd: exclusiveOr,
  paddb: binary(i8x16.add),
  paddw: binary(i16x8.add),
  paddd: binary(i32x4.add, "main"),
  paddq: binary(i64x2.add, "main"),
  psubb: binary(i8x16.sub, "main"),
  psubw: binary(i16x8.sub),
  psubd: binary(i32x4.sub),
  psubq: binary(i64x2.sub),
  paddsb: binary(i8x16.add_sat_s),
  paddsw: binary(i16x8.add_sat_s),
  paddusb: binary(i8x16.add_sat_u),
  paddusw: binary(i16x8.add_sat_u),
  psubsb: binary(i8x16.sub_sat_s),
  psubsw: binary(i16x8.sub_sat_s),
  psubusb: binary(i8x16.sub_sat_u),
  psubusw: binary(i16x8.sub_sat_u),
  pavgb: binary(i8x16.avgr_u),
  pavgw: binary(i16x8.avgr_u),
  pminub: binary(i8x16.min_u, "main"),
  pminsb: binary(i8x16.min_s),
  pminuw: binary(i16x8.min_u),
  pminsw: binary(i16x8.min_s),
  pminud: binary(i32x4.min_u),
  pminsd: binary(i32x4.min_s),
  pmaxub: binary(i8x16.max_u),
  pmaxsb: binary(i8x16.max_s),
  pmaxuw: binary(i16x8.max_u),
  pmaxsw: binary(i16x8.max_s),
  pmaxud: binary(i32x4.max_u),
  pmaxsd: binary(i32x4.max_s),
  pabsb: unary(i8x16.abs),
  pabsw: unary(i16x8.abs),
  pabsd: unary(i32x4.abs),
  psignb: applySign(8, i8x16.shr_s, i8x16.sub, i8x16.eq),
  psignw: applySign(16, i16x8.shr_s, i16x8.sub, i16x8.eq),
  psignd: applySign(32, i32x4.shr_s, i32x4.sub, i32x4.eq),
  pcmpeqb: binary(i8x16.eq, "main"),
  pcmpeqw: binary(i16x8.eq),
  pcmpeqd: binary(i32x4.eq),
  pcmpeqq: binary(i64x2.eq),
  pcmpgtb: binary(i8x16.gt_s),
  pcmpgtw: binary(i16x8.gt_s),
  pcmpgtd: binary(i32x4.gt_s),
  pcmpgtq: binary(i64x2.gt_s),
  packsswb: pack(i8x16.narrow_i16x8_s),
  packuswb: pack(i8x16.narrow_i16x8_u),
  packssdw: pack(i16x8.narrow_i32x4_s),
  packusdw: pack(i16x8.narrow_i32x4_u),
  phaddw: horizontal(2, i16x8.add),
  phaddd: horizontal(4, i32x4.add),
  phaddsw: horizontal(2, i16x8.add_sat_s),
  phsubw: horizontal(2, i16x8.sub),
  phsubd: horizontal(4, i32x4.sub),
  phsubsw: horizontal(2, i16x8.sub_sat_s),
  psllw: shift(16, i16x8.shl),
  pslld: shift(32, i32x4.shl),
  psllq: shift(64, i64x2.shl),
  psrlw: shift(16, i16x8.shr_u),
  psrld: shift(32, i32x4.shr_u),
  psrlq: shift(64, i64x2.shr_u),
  psraw: shift(16, i16x8.shr_s, true),
  psrad: shift(32, i32x4.shr_s, true),
  pmullw: binary(i16x8.mul),
  pmulld: binary(i32x4.mul),
  pmulhw: highProduct(i32x4.extmul_low_i16x8_s, i32x4.extmul_high_i16x8_s),
  pmulhuw: highProduct(i32x4.extmul_low_i16x8_u, i32x4.extmul_high_i16x8_u),
  pmulhrsw: binary(roundedHighProduct),
  pmuludq: evenProduct(i64x2.extmul_low_i32x4_u),
  pmuldq: evenProduct(i64x2.extmul_low_i32x4_s),
  pmaddwd: binary(i32x4.dot_i16x8_s),
  pmaddubsw: binary(multiplySignedUnsigned),
  psadbw: binary((a, b, s) => {
    const sums = s.f.let(
      i32x4.extadd_pairwise_i16x8_u(i16x8.extadd_pairwise_i8x16_u(absoluteDifference(a, b))),
    );
    return i64x2.add(v128.and(sums, splat(8, 0xffffffffn)), i64x2.shr_u(sums, i32.const(32)));
  }),
  mpsadbw: binary(multipleSums),
  ptest: vector((s) => {
    const b = s.f.let(source(s, 1));
    const a = s.f.let(source(s, 0));
    setZeroAndCarry(s, isZero(v128.and(b, a)), isZero(v128.andnot(b, a)));
  }),
};
