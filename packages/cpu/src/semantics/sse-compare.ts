import { i32, likely, select, selectV128, v128 } from "../wasm/index.ts";
import type { I32, Int, V128 } from "../wasm/index.ts";
import type { Description, Descriptions } from "./context.ts";
import { setZeroAndCarry } from "./flags.ts";
import { DOUBLE, DOUBLES, SINGLE, SINGLES, isPlain, notPlain } from "./float-lanes.ts";
import type { PackedFormat, ScalarFormat } from "./float-lanes.ts";
import { choose, constant } from "./integer-ops.ts";
import { asVector, ifPlain } from "./sse-arithmetic.ts";
import { ZERO, helpWith, immediate, source } from "./vector-operands.ts";

/** Of the predicate EQ LT LE UNORD NEQ NLT NLE ORD: bits 0 and 1, then the inversion. */
const CONDITION = 3;
const INVERTED = 4;

const isCondition = (predicate: I32, condition: number): I32 =>
  i32.eq(i32.and(predicate, i32.const(CONDITION)), i32.const(condition));

/** CMPSS and CMPSD: ordered operands decide here. */
function scalar<T extends "f32" | "f64">(format: ScalarFormat<T>): Description {
  const { width, operations: o, value } = format;
  return {
    group: "vector",
    describe(s) {
      const { f } = s;
      const b = f.let(s.getLow(1, width));
      const a = f.let(s.getLow(0, width));
      f.if(likely(i32.and(isPlain(a), isPlain(b))), () => {
        const predicate = immediate(s, 2);
        const [x, y] = [f.let(value(a)), f.let(value(b))];
        const holds = select(
          isCondition(predicate, 0),
          o.eq(x, y),
          select(
            isCondition(predicate, 1),
            o.lt(x, y),
            i32.and(isCondition(predicate, 2), o.le(x, y)),
          ),
        );
        const inverted = i32.and(i32.shr_u(predicate, i32.const(2)), i32.const(1));
        const all: Int = choose(i32.xor(holds, inverted), constant(width, -1), constant(width, 0));
        s.setLow(0, width, all);
        s.done();
      });
      helpWith(s, asVector(b));
    },
  };
}

function packed(format: PackedFormat): Description {
  const { operations: o } = format;
  return {
    group: "vector",
    describe(s) {
      const { f } = s;
      const b = f.let(source(s, 1));
      const a = f.let(s.getVector(0));
      const refused = v128.any_true(v128.or(notPlain(format, a), notPlain(format, b)));
      f.if(likely(i32.eqz(refused)), () => {
        const predicate = immediate(s, 2);
        const pick = (condition: number, then: V128, otherwise: V128): V128 =>
          selectV128(isCondition(predicate, condition), then, otherwise);
        const holds = pick(0, o.eq(a, b), pick(1, o.lt(a, b), pick(2, o.le(a, b), ZERO)));
        const inverted = i32.and(predicate, i32.const(INVERTED));
        s.setVector(0, v128.xor(holds, selectV128(inverted, v128.not(ZERO), ZERO)));
        s.done();
      });
      helpWith(s, b);
    },
  };
}

/** COMISS and its like; unordered operands are left to the helper. */
function toFlags<T extends "f32" | "f64">(format: ScalarFormat<T>): Description {
  const { type, operations: o, bits } = format;
  return {
    group: "main",
    describe(s) {
      const { f } = s;
      const b = f.let(s.getFloat(1, type));
      const a = f.let(s.getFloat(0, type));
      ifPlain(s, format, [a, b], () => setZeroAndCarry(s, o.eq(a, b), o.lt(a, b)));
      helpWith(s, asVector(bits(b)));
    },
  };
}

/** Floating-point comparisons. */
export const sseCompare: Descriptions = {
  cmpss: scalar(SINGLE),
  cmpsd: scalar(DOUBLE),
  cmpps: packed(SINGLES),
  cmppd: packed(DOUBLES),
  comiss: toFlags(SINGLE),
  comisd: toFlags(DOUBLE),
  ucomiss: toFlags(SINGLE),
  ucomisd: toFlags(DOUBLE),
};
