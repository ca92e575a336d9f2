import {
  f32,
  f32x4,
  f64,
  f64x2,
  i32,
  i32x4,
  i64,
  i64x2,
  likely,
  truncSat,
  unlikely,
  v128,
} from "../wasm/index.ts";
import type { Expr, F64, I32, Int, V128 } from "../wasm/index.ts";
import type { Description, Descriptions, InstructionContext } from "./context.ts";
import {
  DOUBLE,
  DOUBLES,
  SINGLE,
  SINGLES,
  isOrdinary,
  isPlain,
  isZeroValue,
  nonZero,
  notFinite,
  notPlain,
  roundingMode,
  roundsQuietly,
  roundsToNearest,
  truncatesQuietly,
} from "./float-lanes.ts";
import type { PackedFormat, ScalarFormat } from "./float-lanes.ts";
import { eq, toI32, toI64 } from "./integer-ops.ts";
import { asVector } from "./sse-arithmetic.ts";
import { helpWith, helped, immediate, lowHalf, source, splat, vector } from "./vector-operands.ts";

/** CVTSI2SS and CVTSI2SD: integers that fit the significand are exact. */
function fromInteger(width: 32 | 64): Description {
  const precision = width === 64 ? 53 : 24;
  return {
    group: "vector",
    describe(s) {
      const { f } = s;
      const value = f.let(s.get(1));
      const type = width === 64 ? "f64" : "f32";
      if (s.shape.size !== 64 && width === 64) {
        s.setFloat(0, f64.convert_i32_s(toI32(value)));
        s.notePlain(0, type);
        return;
      }
      const wide = f.let(s.shape.size === 64 ? toI64(value) : i64.extend_i32_s(toI32(value)));
      f.block((slow) => {
        f.block((exact) => {
          f.brIf(exact, likely(s.usualCount(type)));
          const limit = 1n << BigInt(precision);
          const fits = i64.le_u(i64.add(wide, i64.const(limit)), i64.const(2n * limit));
          f.brIf(slow, unlikely(i32.eqz(fits)));
        });
        s.setFloat(0, width === 64 ? f64.convert_i64_s(wide) : f32.convert_i64_s(wide));
        s.notePlain(0, type);
        s.done();
      });
      helpWith(s, i64x2.splat(wide));
    },
  };
}

/** CVTSS2SI, CVTSD2SI and with `truncate` CVTTSS2SI, CVTTSD2SI. */
function toInteger<T extends "f32" | "f64">(
  format: ScalarFormat<T>,
  truncate: boolean,
): Description {
  return {
    group: "vector",
    describe(s) {
      const { f } = s;
      const long = s.shape.size === 64;
      const bits = f.let(s.getLow(1, format.width));
      const value = f.let(wide(format, bits));
      const integral = f.let(truncate ? f64.trunc(value) : f64.nearest(value));
      const limit = f64.const(long ? 2 ** 63 : 2 ** 31);
      // NaNs are in no range.
      const inside = i32.and(f64.ge(integral, f64.neg(limit)), f64.lt(integral, limit));
      const quiet = truncate ? truncatesQuietly(s) : roundsQuietly(s);
      f.if(likely(i32.and(inside, i32.or(quiet, f64.eq(integral, value)))), () => {
        s.set(0, long ? truncSat.i64_f64_s(integral) : truncSat.i32_f64_s(integral));
        s.done();
      });
      helpWith(s, asVector(bits));
    },
  };
}

function wide<T extends "f32" | "f64">(format: ScalarFormat<T>, bits: Int): F64 {
  return format.width === 64 ? DOUBLE.value(bits) : f64.promote_f32(SINGLE.value(bits));
}

/** ROUNDSS and ROUNDSD: bit 2 of the immediate takes the mode from MXCSR, bit 3 suppresses precision. */
function round<T extends "f32" | "f64">(format: ScalarFormat<T>): Description {
  const { width, value, operations: o } = format;
  return {
    group: "vector",
    describe(s) {
      const { f } = s;
      const b = f.let(s.getLow(1, width));
      const x = f.let(value(b));
      const r = roundBy(s, x, [o.nearest, o.floor, o.ceil, o.trunc]);
      const silent = i32.and(immediate(s, 2), i32.const(8));
      const quiet = i32.or(i32.or(silent, truncatesQuietly(s)), o.eq(r, x));
      f.if(likely(isPlain(b)), () => {
        f.if(likely(quiet), () => {
          s.setLow(0, width, format.bits(r));
          s.done();
        });
      });
      helpWith(s, asVector(b));
    },
  };
}

function roundPacked(format: PackedFormat): Description {
  const { operations: o } = format;
  return {
    group: "vector",
    describe(s) {
      const { f } = s;
      const b = f.let(source(s, 1));
      const r = roundBy(s, b, [o.nearest, o.floor, o.ceil, o.trunc]);
      const silent = i32.and(immediate(s, 2), i32.const(8));
      const exact = i32.eqz(v128.any_true(o.ne(r, b)));
      const quiet = i32.or(i32.or(silent, truncatesQuietly(s)), exact);
      f.if(likely(i32.eqz(v128.any_true(notPlain(format, b)))), () => {
        f.if(likely(quiet), () => {
          s.setVector(0, r);
          s.done();
        });
      });
      helpWith(s, b);
    },
  };
}

/** Rounds by the mode that the immediate and MXCSR ask for, with the operations in the order of MXCSR.RC. */
function roundBy<T extends "f32" | "f64" | "v128">(
  s: InstructionContext,
  value: Expr<T>,
  modes: readonly ((value: Expr<T>) => Expr<T>)[],
): Expr<T> {
  const { f } = s;
  const control = immediate(s, 2);
  const mode = f.local("i32");
  f.set(mode, i32.and(control, i32.const(3)));
  f.if(i32.and(control, i32.const(4)), () => f.set(mode, roundingMode(s)));
  const result = f.local(value.type);
  modes.forEach((round, number) => {
    f.if(i32.eq(mode.get, i32.const(number)), () => f.set(result, round(value)));
  });
  return result.get;
}

/** A packed conversion that stands where no lane is refused. */
function packed(
  read: (s: InstructionContext) => V128,
  convert: (b: V128) => V128,
  stands: (s: InstructionContext, b: V128, r: V128) => I32,
): Description {
  return {
    group: "vector",
    describe(s) {
      const { f } = s;
      const b = f.let(read(s));
      const r = f.let(convert(b));
      f.if(likely(stands(s, b, r)), () => {
        s.setVector(0, r);
        s.done();
      });
      helpWith(s, b);
    },
  };
}

const none = (lanesRefused: V128): I32 => i32.eqz(v128.any_true(lanesRefused));
const whole = (s: InstructionContext): V128 => source(s, 1);
const half = (s: InstructionContext): V128 => lowHalf(s, 1);

/** CVTPS2DQ, CVTPD2DQ and their truncating forms. */
function toDwords(
  { operations: o }: PackedFormat,
  narrow: (value: V128) => V128,
  limit: V128,
  truncate: boolean,
): Description {
  const integral = truncate ? o.trunc : o.nearest;
  return packed(
    whole,
    (b) => narrow(integral(b)),
    (s, b) => {
      const value = s.f.let(integral(b));
      const inside = v128.and(o.ge(value, o.neg(limit)), o.lt(value, limit));
      const quiet = truncate ? truncatesQuietly(s) : roundsQuietly(s);
      return i32.and(none(v128.not(inside)), i32.or(quiet, none(o.ne(value, b))));
    },
  );
}

/** 2^31 in each format. */
const LIMIT_SINGLE = splat(4, 0x4f000000);
const LIMIT_DOUBLE = splat(8, 0x41e0_0000_0000_0000n);

const roundsOrIsSmall = (s: InstructionContext, b: V128): I32 =>
  i32.or(roundsQuietly(s), none(v128.and(i32x4.abs(b), splat(4, 0xff000000))));

/** Floating-point conversions and rounding. */
export const sseConvert: Descriptions = {
  cvtsi2ss: fromInteger(32),
  cvtsi2sd: fromInteger(64),
  cvtss2si: toInteger(SINGLE, false),
  cvttss2si: toInteger(SINGLE, true),
  cvtsd2si: toInteger(DOUBLE, false),
  cvttsd2si: toInteger(DOUBLE, true),
  cvtss2sd: {
    group: "vector",
    describe(s) {
      const b = s.f.let(s.getLow(1, 32));
      s.f.if(likely(isPlain(b)), () => {
        s.setLow(0, 64, i64.reinterpret_f64(f64.promote_f32(SINGLE.value(b))));
        s.done();
      });
      helpWith(s, asVector(b));
    },
  },
  cvtsd2ss: {
    group: "vector",
    describe(s) {
      const { f } = s;
      const b = f.let(s.getLow(1, 64));
      const r = f.let(i32.reinterpret_f32(f32.demote_f64(DOUBLE.value(b))));
      const exact = eq(i64.reinterpret_f64(f64.promote_f32(SINGLE.value(r))), b);
      f.if(
        likely(i32.and(i32.or(isOrdinary(r), isZeroValue(b)), i32.or(roundsQuietly(s), exact))),
        () => {
          s.setLow(0, 32, r);
          s.done();
        },
      );
      helpWith(s, asVector(b));
    },
  },
  cvtps2pd: packed(half, f64x2.promote_low_f32x4, (_, b) => none(notPlain(SINGLES, b))),
  cvtpd2ps: packed(whole, f32x4.demote_f64x2_zero, (s, b, r) => {
    const back = s.f.let(f64x2.promote_low_f32x4(r));
    const underflow = v128.and(
      f64x2.le(f64x2.abs(back), splat(8, 0x3810_0000_0000_0000n)),
      nonZero(DOUBLES, b),
    );
    const stands = none(v128.or(notFinite(DOUBLES, back), underflow));
    return i32.and(
      stands,
      i32.or(roundsQuietly(s), i32.and(roundsToNearest(s), none(f64x2.ne(back, b)))),
    );
  }),
  cvtdq2ps: packed(whole, f32x4.convert_i32x4_s, roundsOrIsSmall),
  cvtdq2pd: vector((s) => s.setVector(0, f64x2.convert_low_i32x4_s(half(s)))),
  cvtps2dq: toDwords(SINGLES, i32x4.trunc_sat_f32x4_s, LIMIT_SINGLE, false),
  cvttps2dq: toDwords(SINGLES, i32x4.trunc_sat_f32x4_s, LIMIT_SINGLE, true),
  cvtpd2dq: toDwords(DOUBLES, i32x4.trunc_sat_f64x2_s_zero, LIMIT_DOUBLE, false),
  cvttpd2dq: toDwords(DOUBLES, i32x4.trunc_sat_f64x2_s_zero, LIMIT_DOUBLE, true),
  cvtpi2pd: vector((s) => s.setVector(0, f64x2.convert_low_i32x4_s(half(s)))),
  cvtpi2ps: helped(half),
  cvtps2pi: helped(half),
  cvttps2pi: helped(half),
  cvtpd2pi: helped(whole),
  cvttpd2pi: helped(whole),
  roundss: round(SINGLE),
  roundsd: round(DOUBLE),
  roundps: roundPacked(SINGLES),
  roundpd: roundPacked(DOUBLES),
};
