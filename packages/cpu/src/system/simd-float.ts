import type { Core } from "../core.ts";
import { Vector, raise } from "../execute/guest-fault.ts";
import type { Helper, Helpers } from "../execute/helper.ts";
import type { MicroOp } from "../execute/micro-op.ts";
import { f32Reciprocal, f32ReciprocalSquareRoot } from "../float/approximate.ts";
import { f32DotProduct, f64DotProduct, forEachElement } from "../float/packed.ts";
import * as sse from "../float/sse.ts";
import { createFloatStatus, loadMxcsr } from "../float/status.ts";
import type { FloatStatus } from "../float/status.ts";
import { Flag, STATUS_FLAGS, State } from "../state/layout.ts";
import { enterMmx, writeMmx } from "../x87/mmx.ts";

/**
 * SSE floating point in full: any rounding mode, NaNs, denormals, every exception (Intel SDM vol. 1, 11.5).
 * Descriptions come here with what they cannot prove harmless; the source operand is in `State.VectorSource`.
 */

/** CR4.OSXMMEXCPT. */
const SIMD_EXCEPTIONS = 0x400;

/** Where an instruction's vectors are, as offsets in the WebAssembly memory. */
interface Operands {
  readonly cpu: Core;
  readonly op: MicroOp;
  readonly destination: number;
  readonly source: number;
}

const status = createFloatStatus();

/** Runs the elements of an instruction, reports their exceptions, then writes. Unmasked ones fault before that. */
function compute(
  { cpu }: Operands,
  count: number,
  element: (index: number) => void,
  write: () => void,
): void {
  const mxcsr = cpu.u32(State.Mxcsr);
  loadMxcsr(status, mxcsr);
  report(cpu, mxcsr, forEachElement(status, count, element));
  write();
}

function report(cpu: Core, mxcsr: number, completed: boolean): void {
  cpu.setU32(State.Mxcsr, mxcsr | status.flags);
  if (completed) return;
  if ((cpu.u32(State.Cr4) & SIMD_EXCEPTIONS) === 0) raise(Vector.InvalidOpcode);
  raise(Vector.SimdFault);
}

const helper =
  (act: (operands: Operands) => void): Helper =>
  (cpu, op) => {
    const { state } = cpu;
    const destination = state + State.Xmm + op.field(0);
    act({ cpu, op, destination, source: state + State.VectorSource });
  };

const singles = [0, 0, 0, 0];
const doubles = [0n, 0n];

const single = (cpu: Core, at: number, lane = 0): number => cpu.view.getUint32(at + 4 * lane, true);
const double = (cpu: Core, at: number, lane = 0): bigint =>
  cpu.view.getBigUint64(at + 8 * lane, true);

function putSingles(cpu: Core, at: number, count: number): void {
  for (let lane = 0; lane < count; lane++) {
    cpu.view.setUint32(at + 4 * lane, singles[lane] as number, true);
  }
}

function putDoubles(cpu: Core, at: number, count: number): void {
  for (let lane = 0; lane < count; lane++) {
    cpu.view.setBigUint64(at + 8 * lane, doubles[lane] as bigint, true);
  }
}

type Single = (a: number, b: number, immediate: number) => number;
type Double = (a: bigint, b: bigint, immediate: number) => bigint;

/** Which element of destination and source the two operands of an element are, as `lane` or `16 + lane`. */
type Arrangement = (lane: number, count: number) => readonly [number, number];

const straight: Arrangement = (lane) => [lane, 16 + lane];
const neighbours: Arrangement = (lane, count) => {
  const pair = 2 * lane;
  return pair < count ? [pair, pair + 1] : [16 + pair - count, 16 + pair - count + 1];
};

function singleHelper(
  count: number,
  operate: (lane: number) => Single,
  arrange = straight,
): Helper {
  return helper((operands) => {
    const { cpu, op, destination, source } = operands;
    const get = (place: number): number =>
      single(cpu, place < 16 ? destination : source, place & 15);
    compute(
      operands,
      count,
      (lane) => {
        const [a, b] = arrange(lane, count);
        singles[lane] = operate(lane)(get(a), get(b), op.immediate);
      },
      () => putSingles(cpu, destination, count),
    );
  });
}

function doubleHelper(
  count: number,
  operate: (lane: number) => Double,
  arrange = straight,
): Helper {
  return helper((operands) => {
    const { cpu, op, destination, source } = operands;
    const get = (place: number): bigint =>
      double(cpu, place < 16 ? destination : source, place & 15);
    compute(
      operands,
      count,
      (lane) => {
        const [a, b] = arrange(lane, count);
        doubles[lane] = operate(lane)(get(a), get(b), op.immediate);
      },
      () => putDoubles(cpu, destination, count),
    );
  });
}

/** The four forms of one operation: `name` + ss, sd, ps, pd. */
function forms(name: string, operateSingle: Single, operateDouble: Double): Helpers {
  return {
    [`${name}ss`]: singleHelper(1, () => operateSingle),
    [`${name}ps`]: singleHelper(4, () => operateSingle),
    [`${name}sd`]: doubleHelper(1, () => operateDouble),
    [`${name}pd`]: doubleHelper(2, () => operateDouble),
  };
}

const add32: Single = (a, b) => sse.f32Add(a, b, status);
const subtract32: Single = (a, b) => sse.f32Subtract(a, b, status);
const add64: Double = (a, b) => sse.f64Add(a, b, status);
const subtract64: Double = (a, b) => sse.f64Subtract(a, b, status);

const ALL_32 = 0xffffffff;
const ALL_64 = 0xffffffffffffffffn;

/** ZF, PF and CF by outcome: less, equal, greater, unordered. */
const COMPARED = [Flag.Cf, Flag.Zf, 0, Flag.Zf | Flag.Pf | Flag.Cf];

function toFlags(
  compare: (cpu: Core, a: number, b: number, status: FloatStatus) => number,
): Helper {
  return helper((operands) => {
    const { cpu, destination, source } = operands;
    let ordering = 0;
    compute(
      operands,
      1,
      () => {
        ordering = compare(cpu, destination, source, status);
      },
      () => {
        cpu.flags = (cpu.flags & ~STATUS_FLAGS) | (COMPARED[ordering + 1] as number);
      },
    );
  });
}

const compare32 = (signalling: boolean): Helper =>
  toFlags((cpu, a, b) => sse.f32Compare(single(cpu, a), single(cpu, b), signalling, status));
const compare64 = (signalling: boolean): Helper =>
  toFlags((cpu, a, b) => sse.f64Compare(double(cpu, a), double(cpu, b), signalling, status));

/** CVTSS2SI and its like: `convert` gets the place of the source and the register's width. */
function toRegister(convert: (cpu: Core, at: number, width: 32 | 64) => bigint): Helper {
  return helper((operands) => {
    const { cpu, op, source } = operands;
    const width = op.operandSize === 64 ? 64 : 32;
    let value = 0n;
    compute(
      operands,
      1,
      () => {
        value = convert(cpu, source, width);
      },
      () => cpu.setU64(op.field(0), BigInt.asUintN(width, value)),
    );
  });
}

const integer32 = (value: bigint): number => Number(BigInt.asUintN(32, value));

type ToSingle = (cpu: Core, at: number, lane: number) => number;
type ToDouble = (cpu: Core, at: number, lane: number) => bigint;

/** Conversions to `count` elements of 32 bits; `clear` clears the destination above them. */
function toSingles(count: 1 | 2 | 4, convert: ToSingle, clear = false): Helper {
  return helper((operands) => {
    const { cpu, destination, source } = operands;
    compute(
      operands,
      count,
      (lane) => {
        singles[lane] = convert(cpu, source, lane);
      },
      () => {
        if (clear) singles.fill(0, count);
        putSingles(cpu, destination, clear ? 4 : count);
      },
    );
  });
}

function toDoubles(count: 1 | 2, convert: ToDouble): Helper {
  return helper((operands) => {
    const { cpu, destination, source } = operands;
    compute(
      operands,
      count,
      (lane) => {
        doubles[lane] = convert(cpu, source, lane);
      },
      () => putDoubles(cpu, destination, count),
    );
  });
}

/** Conversions to two dwords in an MMX register. The x87's use ends even if they fault. */
function toMmx(convert: ToSingle): Helper {
  return helper((operands) => {
    const { cpu, op, source } = operands;
    const { registers } = cpu.x87;
    enterMmx(registers);
    compute(
      operands,
      2,
      (lane) => {
        singles[lane] = convert(cpu, source, lane);
      },
      () => {
        const [low = 0, high = 0] = singles;
        writeMmx(registers, op.field(0) >> 4, (BigInt(high) << 32n) | BigInt(low));
      },
    );
  });
}

const fromF32 =
  (truncate: boolean): ToSingle =>
  (cpu, at, lane) =>
    integer32(sse.f32ToInteger(single(cpu, at, lane), 32, truncate, status));
const fromF64 =
  (truncate: boolean): ToSingle =>
  (cpu, at, lane) =>
    integer32(sse.f64ToInteger(double(cpu, at, lane), 32, truncate, status));
const fromDword: ToSingle = (cpu, at, lane) =>
  sse.f32FromInteger(BigInt(cpu.view.getInt32(at + 4 * lane, true)), status);
const widen: ToDouble = (cpu, at, lane) => sse.f32ToF64(single(cpu, at, lane), status);
const narrow: ToSingle = (cpu, at, lane) => sse.f64ToF32(double(cpu, at, lane), status);

/** CVTPI2PS: an MMX source, unlike memory, ends the use of the x87. */
function fromMmx(): Helper {
  const convert = toSingles(2, fromDword);
  return (cpu, op) => {
    if (!op.memory) enterMmx(cpu.x87.registers);
    convert(cpu, op);
  };
}

/** RCPPS and RSQRTPS raise nothing. */
const approximation = (count: 1 | 4, approximate: (value: number) => number): Helper =>
  helper(({ cpu, destination, source }) => {
    for (let lane = 0; lane < count; lane++) singles[lane] = approximate(single(cpu, source, lane));
    putSingles(cpu, destination, count);
  });

/** SSE floating-point arithmetic, comparisons and conversions. */
export const simdFloatHelpers: Helpers = {
  ...forms("add", add32, add64),
  ...forms("sub", subtract32, subtract64),
  ...forms(
    "mul",
    (a, b) => sse.f32Multiply(a, b, status),
    (a, b) => sse.f64Multiply(a, b, status),
  ),
  ...forms(
    "div",
    (a, b) => sse.f32Divide(a, b, status),
    (a, b) => sse.f64Divide(a, b, status),
  ),
  ...forms(
    "sqrt",
    (_, b) => sse.f32SquareRoot(b, status),
    (_, b) => sse.f64SquareRoot(b, status),
  ),
  ...forms(
    "min",
    (a, b) => sse.f32Minimum(a, b, status),
    (a, b) => sse.f64Minimum(a, b, status),
  ),
  ...forms(
    "max",
    (a, b) => sse.f32Maximum(a, b, status),
    (a, b) => sse.f64Maximum(a, b, status),
  ),
  ...forms(
    "cmp",
    (a, b, predicate) => (sse.f32ComparePredicate(a, b, predicate, status) ? ALL_32 : 0),
    (a, b, predicate) => (sse.f64ComparePredicate(a, b, predicate, status) ? ALL_64 : 0n),
  ),
  ...forms(
    "round",
    (_, b, immediate) => sse.f32Round(b, immediate, status),
    (_, b, immediate) => sse.f64Round(b, immediate, status),
  ),
  haddps: singleHelper(4, () => add32, neighbours),
  hsubps: singleHelper(4, () => subtract32, neighbours),
  haddpd: doubleHelper(2, () => add64, neighbours),
  hsubpd: doubleHelper(2, () => subtract64, neighbours),
  addsubps: singleHelper(4, (lane) => (lane & 1 ? add32 : subtract32)),
  addsubpd: doubleHelper(2, (lane) => (lane & 1 ? add64 : subtract64)),
  comiss: compare32(true),
  ucomiss: compare32(false),
  comisd: compare64(true),
  ucomisd: compare64(false),
  cvtss2si: toRegister((cpu, at, width) => sse.f32ToInteger(single(cpu, at), width, false, status)),
  cvttss2si: toRegister((cpu, at, width) => sse.f32ToInteger(single(cpu, at), width, true, status)),
  cvtsd2si: toRegister((cpu, at, width) => sse.f64ToInteger(double(cpu, at), width, false, status)),
  cvttsd2si: toRegister((cpu, at, width) => sse.f64ToInteger(double(cpu, at), width, true, status)),
  // The description has widened the integer to 64 bits.
  cvtsi2ss: toSingles(1, (cpu, at) => sse.f32FromInteger(cpu.view.getBigInt64(at, true), status)),
  cvtsi2sd: toDoubles(1, (cpu, at) => sse.f64FromInteger(cpu.view.getBigInt64(at, true), status)),
  cvtss2sd: toDoubles(1, widen),
  cvtps2pd: toDoubles(2, widen),
  cvtsd2ss: toSingles(1, narrow),
  cvtpd2ps: toSingles(2, narrow, true),
  cvtdq2ps: toSingles(4, fromDword),
  cvtpi2ps: fromMmx(),
  cvtps2dq: toSingles(4, fromF32(false)),
  cvttps2dq: toSingles(4, fromF32(true)),
  cvtpd2dq: toSingles(2, fromF64(false), true),
  cvttpd2dq: toSingles(2, fromF64(true), true),
  cvtps2pi: toMmx(fromF32(false)),
  cvttps2pi: toMmx(fromF32(true)),
  cvtpd2pi: toMmx(fromF64(false)),
  cvttpd2pi: toMmx(fromF64(true)),
  rcpss: approximation(1, f32Reciprocal),
  rcpps: approximation(4, f32Reciprocal),
  rsqrtss: approximation(1, f32ReciprocalSquareRoot),
  rsqrtps: approximation(4, f32ReciprocalSquareRoot),
  dpps: helper(({ cpu, op, destination, source }) => {
    const mxcsr = cpu.u32(State.Mxcsr);
    loadMxcsr(status, mxcsr);
    const vector = (at: number): number[] => [0, 1, 2, 3].map((lane) => single(cpu, at, lane));
    const sum = f32DotProduct(vector(destination), vector(source), op.immediate, status);
    report(cpu, mxcsr, sum !== undefined);
    for (let lane = 0; lane < 4; lane++)
      singles[lane] = op.immediate & (1 << lane) ? (sum ?? 0) : 0;
    putSingles(cpu, destination, 4);
  }),
  dppd: helper(({ cpu, op, destination, source }) => {
    const mxcsr = cpu.u32(State.Mxcsr);
    loadMxcsr(status, mxcsr);
    const vector = (at: number): bigint[] => [double(cpu, at, 0), double(cpu, at, 1)];
    const sum = f64DotProduct(vector(destination), vector(source), op.immediate, status);
    report(cpu, mxcsr, sum !== undefined);
    for (let lane = 0; lane < 2; lane++) {
      doubles[lane] = op.immediate & (1 << lane) ? (sum ?? 0n) : 0n;
    }
    putDoubles(cpu, destination, 2);
  }),
};
