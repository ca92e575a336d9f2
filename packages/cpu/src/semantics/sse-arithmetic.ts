import { i32, i64x2, unlikely, v128 } from "../wasm/index.ts";
import type { Expr, I32, Int, V128 } from "../wasm/index.ts";
import type { Description, Descriptions, InstructionContext } from "./context.ts";
import {
  DOUBLE,
  DOUBLES,
  SINGLE,
  SINGLES,
  anyUnusual,
  denormals,
  exactSum,
  isOrdinary,
  isPlain,
  isUnusual,
  isZeroValue,
  nonZero,
  notDenormal,
  notFinite,
  notPlain,
  roundsToNearest,
  tiny,
} from "./float-lanes.ts";
import type { PackedFormat, ScalarFormat } from "./float-lanes.ts";
import { toI64 } from "./integer-ops.ts";
import { ZERO, helpWith, helped, lanes, source } from "./vector-operands.ts";

/** One scalar operation: its value, whether the value may stand, and what says that it is exact. */
interface ScalarOperation<T extends "f32" | "f64"> {
  value(a: Expr<T>, b: Expr<T>): Expr<T>;
  /** On the bits of operands and result. Of usual numbers it is always true. */
  accepts(a: Int, b: Int, r: Int): I32;
  exact(a: Expr<T>, b: Expr<T>, r: Expr<T>): readonly I32[];
  /** Has one operand. */
  readonly unary?: true;
}

/** A scalar's bits as the vector that its helper finds. */
export const asVector = (bits: Int): V128 => i64x2.replace_lane(ZERO, 0, toI64(bits));

/** ADDSS and its like: the low element of the destination changes. */
function scalar<T extends "f32" | "f64">(
  format: ScalarFormat<T>,
  operation: ScalarOperation<T>,
): Description {
  const { type, bits } = format;
  return {
    group: "main",
    describe(s) {
      const { f } = s;
      const b = f.let(s.getFloat(1, type));
      const a = f.let(s.getFloat(0, type));
      const r = f.let(operation.value(a, b));
      const numbers = [a, b, r] as const;
      // What was looked at is not looked at again.
      const tested = s.isPlain(1, type) ? [] : [b];
      if (operation.unary !== true && !s.isPlain(0, type)) tested.push(a);
      f.block((slow) => {
        f.block((usual) => {
          f.block((unusual) => {
            f.brIf(unusual, unlikely(isUnusual(format, r, s.usualCount(type))));
            for (const value of tested) f.brIf(unusual, unlikely(isUnusual(format, value)));
            f.br(usual);
          });
          f.block((accepted) => {
            f.block((odd) => {
              f.brIf(odd, isUnusual(format, r));
              for (const value of tested) f.brIf(odd, isUnusual(format, value));
              f.br(accepted);
            });
            const [x, y, z] = numbers.map((value) => f.let(format.rareBits(value))) as [
              Int,
              Int,
              Int,
            ];
            f.brIf(slow, unlikely(i32.eqz(operation.accepts(x, y, z))));
          });
          f.brIf(usual, s.usualCount(type));
          f.brIf(slow, unlikely(i32.eqz(roundsToNearest(s))));
          for (const holds of operation.exact(...numbers)) {
            f.brIf(slow, unlikely(i32.eqz(holds)));
          }
        });
        // Of the operands' values others may be copies.
        if (operation.unary !== true) s.notePlain(0, type);
        s.notePlain(1, type);
        s.setFloat(0, r);
        s.notePlain(0, type);
        s.done();
      });
      helpWith(s, asVector(bits(b)));
    },
  };
}

/** The four scalar operations and square root in one format. */
function scalars<T extends "f32" | "f64">(
  suffix: "ss" | "sd",
  format: ScalarFormat<T>,
): Descriptions {
  const { operations: o, exactProduct } = format;
  // Sums of plain numbers are zero or normal, or exact.
  const sum = (a: Int, b: Int, r: Int): I32 =>
    i32.and(i32.and(notDenormal(a), notDenormal(b)), i32.or(isOrdinary(r), isZeroValue(r)));
  const operations: Record<string, ScalarOperation<T>> = {
    add: { value: o.add, accepts: sum, exact: (a, b, r) => exactSum(format, a, b, r) },
    sub: {
      value: o.sub,
      accepts: sum,
      exact: (a, b, r) => exactSum(format, a, o.neg(b), r),
    },
    mul: {
      value: o.mul,
      accepts: (a, b, r) =>
        i32.and(
          i32.and(notDenormal(a), notDenormal(b)),
          i32.or(isOrdinary(r), i32.and(isZeroValue(r), i32.or(isZeroValue(a), isZeroValue(b)))),
        ),
      exact: (a, b) => exactProduct(a, b),
    },
    div: {
      value: o.div,
      accepts: (a, b, r) =>
        i32.and(
          i32.and(notDenormal(a), notDenormal(b)),
          i32.or(isOrdinary(r), i32.and(isZeroValue(r), isZeroValue(a))),
        ),
      exact: (a, b, r) => exactProduct(b, r, a),
    },
    sqrt: {
      value: (_, b) => o.sqrt(b),
      accepts: (_, b, r) => i32.and(notDenormal(b), i32.or(isOrdinary(r), isZeroValue(r))),
      exact: (_, b, r) => exactProduct(r, r, b),
      unary: true,
    },
  };
  return {
    ...Object.fromEntries(
      Object.entries(operations).map(([operation, does]) => {
        return [`${operation}${suffix}`, scalar(format, does)];
      }),
    ),
    [`min${suffix}`]: extreme(format, format.lesser),
    [`max${suffix}`]: extreme(format, format.greater),
  };
}

/** MINSS and its like: the first operand if the comparison holds, else the second. */
function extreme<T extends "f32" | "f64">(
  format: ScalarFormat<T>,
  choose: (a: Expr<T>, b: Expr<T>) => Expr<T>,
): Description {
  const { type, bits } = format;
  return {
    group: "vector",
    describe(s) {
      const b = s.f.let(s.getFloat(1, type));
      const a = s.f.let(s.getFloat(0, type));
      ifPlain(s, format, [a, b], () => s.setFloat(0, choose(a, b)));
      helpWith(s, asVector(bits(b)));
    },
  };
}

/** Does something with the operands 0 and 1 if they are neither denormals nor NaNs, and ends the instruction. */
export function ifPlain<T extends "f32" | "f64">(
  s: InstructionContext,
  format: ScalarFormat<T>,
  operands: readonly [Expr<T>, Expr<T>],
  then: () => void,
): void {
  const { f } = s;
  const unknown = operands.filter((_, i) => !s.isPlain(i, format.type));
  f.block((slow) => {
    f.block((plain) => {
      if (unknown.length === 0) return;
      f.block((perhaps) => {
        for (const value of unknown) f.brIf(perhaps, unlikely(isUnusual(format, value)));
        f.br(plain);
      });
      for (const value of unknown) {
        f.brIf(slow, unlikely(i32.eqz(isPlain(f.let(format.rareBits(value))))));
      }
    });
    then();
    for (const i of operands.keys()) s.notePlain(i, format.type);
    s.done();
  });
}

/** One packed operation: its result, and the lanes in which it may not stand. */
interface PackedOperation {
  result(a: V128, b: V128): V128;
  refuses(format: PackedFormat, a: V128, b: V128, r: V128): V128;
  /** Has one operand, the second. */
  readonly unary?: true;
}

/**
 * A packed operation on operands that `arrange` makes of the instruction's.
 * @param rounds whether results can be inexact
 */
function packed(
  format: PackedFormat,
  operation: PackedOperation,
  rounds = true,
  arrange: (a: V128, b: V128) => readonly [V128, V128] = (a, b) => [a, b],
): Description {
  return {
    group: "vector",
    describe(s) {
      const { f } = s;
      const b = f.let(source(s, 1));
      const [x, y] = arrange(f.let(s.getVector(0)), b).map((value) => f.let(value)) as [V128, V128];
      const r = f.let(operation.result(x, y));
      f.block((slow) => {
        f.block((usual) => {
          f.block((unusual) => {
            if (rounds) f.brIf(slow, unlikely(i32.eqz(s.usualCount(format.type))));
            const tested = operation.unary === true ? [y, r] : [x, y, r];
            f.brIf(unusual, unlikely(anyUnusual(f, format, tested)));
            f.br(usual);
          });
          f.brIf(slow, unlikely(v128.any_true(operation.refuses(format, x, y, r))));
        });
        s.setVector(0, r);
        s.done();
      });
      helpWith(s, b);
    },
  };
}

const operandsOf = (format: PackedFormat, a: V128, b: V128): V128 =>
  v128.or(denormals(format, a), denormals(format, b));

const refusesSum: PackedOperation["refuses"] = (format, a, b, r) =>
  v128.or(
    v128.or(operandsOf(format, a, b), notFinite(format, r)),
    v128.and(tiny(format, r), nonZero(format, r)),
  );

const refusesExtreme: PackedOperation["refuses"] = (format, a, b) =>
  v128.or(notPlain(format, a), notPlain(format, b));

function packeds(suffix: "ps" | "pd", format: PackedFormat): Descriptions {
  const { operations: o } = format;
  const size = suffix === "ps" ? 4 : 8;
  const sum = { result: o.add, refuses: refusesSum };
  const difference = { result: o.sub, refuses: refusesSum };
  /** Even and odd elements of both operands. */
  const neighbours = (a: V128, b: V128): readonly [V128, V128] => {
    const gather = (parity: number): V128 =>
      v128.shuffle(
        a,
        b,
        Array.from(
          { length: 16 },
          (_, i) => (2 * Math.floor(i / size) + parity) * size + (i % size),
        ),
      );
    return [gather(0), gather(1)];
  };
  // Subtracting is adding what is negated; here in the even elements.
  const evenSigns =
    size === 4 ? lanes(4, [0x80000000, 0, 0x80000000, 0]) : lanes(8, [1n << 63n, 0]);
  return {
    [`add${suffix}`]: packed(format, sum),
    [`sub${suffix}`]: packed(format, difference),
    [`mul${suffix}`]: packed(format, {
      result: o.mul,
      refuses: (_, a, b, r) => {
        const underflows = v128.and(
          tiny(format, r),
          v128.and(nonZero(format, a), nonZero(format, b)),
        );
        return v128.or(v128.or(operandsOf(format, a, b), notFinite(format, r)), underflows);
      },
    }),
    [`div${suffix}`]: packed(format, {
      result: o.div,
      refuses: (_, a, b, r) => {
        const underflows = v128.and(tiny(format, r), nonZero(format, a));
        return v128.or(v128.or(operandsOf(format, a, b), notFinite(format, r)), underflows);
      },
    }),
    [`sqrt${suffix}`]: packed(format, {
      result: (_, b) => o.sqrt(b),
      refuses: (_, __, b, r) => v128.or(denormals(format, b), notFinite(format, r)),
      unary: true,
    }),
    [`min${suffix}`]: packed(
      format,
      { result: (a, b) => v128.bitselect(a, b, o.lt(a, b)), refuses: refusesExtreme },
      false,
    ),
    [`max${suffix}`]: packed(
      format,
      { result: (a, b) => v128.bitselect(a, b, o.lt(b, a)), refuses: refusesExtreme },
      false,
    ),
    [`hadd${suffix}`]: packed(format, sum, true, neighbours),
    [`hsub${suffix}`]: packed(format, difference, true, neighbours),
    [`addsub${suffix}`]: packed(format, sum, true, (a, b) => [a, v128.xor(b, evenSigns)]),
  };
}

const approximate = (width: 32 | 128): Description =>
  helped((s) => (width === 128 ? source(s, 1) : asVector(s.getLow(1, 32))));

/** SSE, SSE2 and SSE3 floating-point arithmetic (Intel SDM vol. 1, 11.5 has the exceptions). */
export const sseArithmetic: Descriptions = {
  ...scalars("ss", SINGLE),
  ...scalars("sd", DOUBLE),
  ...packeds("ps", SINGLES),
  ...packeds("pd", DOUBLES),
  rcpss: approximate(32),
  rcpps: approximate(128),
  rsqrtss: approximate(32),
  rsqrtps: approximate(128),
  dpps: helped((s) => source(s, 1)),
  dppd: helped((s) => source(s, 1)),
};
