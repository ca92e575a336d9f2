/** SSE instructions on one element or a vector: random cases, and what the software makes of each. */
import { f32Reciprocal, f32ReciprocalSquareRoot } from "../../src/float/approximate.ts";
import { f32DotProduct, f64DotProduct, forEachElement } from "../../src/float/packed.ts";
import * as sse from "../../src/float/sse.ts";
import { createFloatStatus, loadMxcsr } from "../../src/float/status.ts";
import type { FloatStatus } from "../../src/float/status.ts";
import type { Group, HostAnswer, HostCase } from "./host-oracle.ts";
import {
  Random,
  f32Near,
  f32Operand,
  f64Near,
  f64Operand,
  integerOperand,
  mxcsrOperand,
} from "./operands.ts";

const status = createFloatStatus();

/** What a case leaves in its destination, or undefined when it faults. */
type Result =
  | { readonly xmm: readonly [bigint, bigint] }
  | { readonly rax: bigint }
  | { readonly eflags: number };

interface Operands {
  /** XMM0 and XMM1, low and high halves. */
  readonly a: readonly [bigint, bigint];
  readonly b: readonly [bigint, bigint];
  readonly rax: bigint;
}

interface Instruction {
  readonly name: string;
  readonly width: 32 | 64;
  readonly code: readonly number[];
  readonly compute: (operands: Operands) => Result;
}

function operands(random: Random, width: 32 | 64): Operands {
  if (width === 64) {
    const a: [bigint, bigint] = [f64Operand(random), f64Operand(random)];
    return { a, b: [f64Near(random, a[0]), f64Near(random, a[1])], rax: integerOperand(random) };
  }
  const a = [0, 1, 2, 3].map(() => f32Operand(random));
  return {
    a: packF32(a),
    b: packF32(a.map((value) => f32Near(random, value))),
    rax: integerOperand(random),
  };
}

function packF32(lanes: readonly number[]): [bigint, bigint] {
  const [x = 0, y = 0, z = 0, w = 0] = lanes;
  return [BigInt(x) | (BigInt(y) << 32n), BigInt(z) | (BigInt(w) << 32n)];
}

function unpackF32([low, high]: readonly [bigint, bigint]): number[] {
  return [low, low >> 32n, high, high >> 32n].map((lane) => Number(lane & 0xffffffffn));
}

function check(
  instruction: Instruction,
  given: Operands,
  hostCase: HostCase,
  answer: HostAnswer,
): string | undefined {
  const mxcsr = hostCase.mxcsr ?? 0;
  loadMxcsr(status, mxcsr);
  const result = instruction.compute(given);
  const faults = (status.flags & ~status.masks) !== 0;
  const want = {
    fault: faults ? 8 : 0,
    flags: status.flags,
    rax: !faults && "rax" in result ? result.rax : given.rax,
    eflags: !faults && "eflags" in result ? result.eflags : 0,
    xmm: !faults && "xmm" in result ? result.xmm : given.a,
  };
  const [low, high] = answer.xmm;
  const same =
    answer.fault === want.fault &&
    (answer.mxcsr & 0x3f) === want.flags &&
    answer.rax === want.rax &&
    answer.eflags === want.eflags &&
    low === want.xmm[0] &&
    high === want.xmm[1];
  if (same) return undefined;
  const hex = (values: readonly bigint[]): string =>
    values.map((value) => value.toString(16)).join(":");
  return (
    `${instruction.name} a=${hex(given.a)} b=${hex(given.b)} rax=${hex([given.rax])} mxcsr=${mxcsr.toString(16)}: ` +
    `processor fault=${answer.fault} flags=${(answer.mxcsr & 0x3f).toString(16)} xmm=${hex(answer.xmm.slice(0, 2))} rax=${hex([answer.rax])} eflags=${answer.eflags.toString(16)}, ` +
    `software fault=${want.fault} flags=${want.flags.toString(16)} xmm=${hex(want.xmm)} rax=${hex([want.rax])} eflags=${want.eflags.toString(16)}`
  );
}

const LOW_32 = 0xffffffffn;

/** The low element of XMM0 replaced. */
function scalar(
  width: 32 | 64,
  compute: (a: bigint, b: bigint, rax: bigint) => bigint,
): Instruction["compute"] {
  return ({ a, b, rax }) => {
    if (width === 64) return { xmm: [compute(a[0], b[0], rax), a[1]] };
    const low = compute(a[0] & LOW_32, b[0] & LOW_32, rax);
    return { xmm: [(a[0] & ~LOW_32) | low, a[1]] };
  };
}

type Float32 = (a: number, b: number, status: FloatStatus) => number;
type Float64 = (a: bigint, b: bigint, status: FloatStatus) => bigint;

const BINARY: readonly (readonly [string, number, Float32, Float64])[] = [
  ["sqrt", 0x51, (_, b, s) => sse.f32SquareRoot(b, s), (_, b, s) => sse.f64SquareRoot(b, s)],
  ["add", 0x58, sse.f32Add, sse.f64Add],
  ["mul", 0x59, sse.f32Multiply, sse.f64Multiply],
  ["sub", 0x5c, sse.f32Subtract, sse.f64Subtract],
  ["min", 0x5d, sse.f32Minimum, sse.f64Minimum],
  ["div", 0x5e, sse.f32Divide, sse.f64Divide],
  ["max", 0x5f, sse.f32Maximum, sse.f64Maximum],
];

const instructions: Instruction[] = [];

for (const [name, opcode, single, double] of BINARY) {
  instructions.push(
    {
      name: `${name}ss`,
      width: 32,
      code: [0xf3, 0x0f, opcode, 0xc1],
      compute: scalar(32, (a, b) => BigInt(single(Number(a), Number(b), status))),
    },
    {
      name: `${name}sd`,
      width: 64,
      code: [0xf2, 0x0f, opcode, 0xc1],
      compute: scalar(64, (a, b) => double(a, b, status)),
    },
    {
      name: `${name}ps`,
      width: 32,
      code: [0x0f, opcode, 0xc1],
      compute({ a, b }) {
        const left = unpackF32(a);
        const right = unpackF32(b);
        const lanes = [0, 0, 0, 0];
        forEachElement(status, 4, (lane) => {
          lanes[lane] = single(left[lane] ?? 0, right[lane] ?? 0, status);
        });
        return { xmm: packF32(lanes) };
      },
    },
    {
      name: `${name}pd`,
      width: 64,
      code: [0x66, 0x0f, opcode, 0xc1],
      compute({ a, b }) {
        const lanes: [bigint, bigint] = [0n, 0n];
        forEachElement(status, 2, (lane) => {
          const index = lane === 0 ? 0 : 1;
          lanes[index] = double(a[index], b[index], status);
        });
        return { xmm: lanes };
      },
    },
  );
}

for (let predicate = 0; predicate < 8; predicate++) {
  instructions.push(
    {
      name: `cmpss ${predicate}`,
      width: 32,
      code: [0xf3, 0x0f, 0xc2, 0xc1, predicate],
      compute: scalar(32, (a, b) =>
        sse.f32ComparePredicate(Number(a), Number(b), predicate, status) ? LOW_32 : 0n,
      ),
    },
    {
      name: `cmpsd ${predicate}`,
      width: 64,
      code: [0xf2, 0x0f, 0xc2, 0xc1, predicate],
      compute: scalar(64, (a, b) =>
        sse.f64ComparePredicate(a, b, predicate, status) ? (1n << 64n) - 1n : 0n,
      ),
    },
  );
}

/** ZF, PF and CF by outcome, from less. */
const COMPARED = [0x01, 0x40, 0x00, 0x45];

for (const [name, opcode, signalling] of [
  ["ucomi", 0x2e, false],
  ["comi", 0x2f, true],
] as const) {
  instructions.push(
    {
      name: `${name}ss`,
      width: 32,
      code: [0x0f, opcode, 0xc1],
      compute: ({ a, b }) => ({
        eflags:
          COMPARED[
            sse.f32Compare(Number(a[0] & LOW_32), Number(b[0] & LOW_32), signalling, status) + 1
          ] ?? -1,
      }),
    },
    {
      name: `${name}sd`,
      width: 64,
      code: [0x66, 0x0f, opcode, 0xc1],
      compute: ({ a, b }) => ({
        eflags: COMPARED[sse.f64Compare(a[0], b[0], signalling, status) + 1] ?? -1,
      }),
    },
  );
}

for (let immediate = 0; immediate < 16; immediate++) {
  instructions.push(
    {
      name: `roundss ${immediate}`,
      width: 32,
      code: [0x66, 0x0f, 0x3a, 0x0a, 0xc1, immediate],
      compute: scalar(32, (_, b) => BigInt(sse.f32Round(Number(b), immediate, status))),
    },
    {
      name: `roundsd ${immediate}`,
      width: 64,
      code: [0x66, 0x0f, 0x3a, 0x0b, 0xc1, immediate],
      compute: scalar(64, (_, b) => sse.f64Round(b, immediate, status)),
    },
  );
}

for (const size of [32, 64] as const) {
  const rex = size === 64 ? [0x48] : [];
  for (const truncate of [false, true]) {
    const opcode = truncate ? 0x2c : 0x2d;
    instructions.push(
      {
        name: `cvt${truncate ? "t" : ""}ss2si ${size}`,
        width: 32,
        code: [0xf3, ...rex, 0x0f, opcode, 0xc1],
        compute: ({ b }) => ({
          rax: BigInt.asUintN(
            size,
            sse.f32ToInteger(Number(b[0] & LOW_32), size, truncate, status),
          ),
        }),
      },
      {
        name: `cvt${truncate ? "t" : ""}sd2si ${size}`,
        width: 64,
        code: [0xf2, ...rex, 0x0f, opcode, 0xc1],
        compute: ({ b }) => ({
          rax: BigInt.asUintN(size, sse.f64ToInteger(b[0], size, truncate, status)),
        }),
      },
    );
  }
  instructions.push(
    {
      name: `cvtsi2ss ${size}`,
      width: 32,
      code: [0xf3, ...rex, 0x0f, 0x2a, 0xc0],
      compute: scalar(32, (_, __, rax) =>
        BigInt(sse.f32FromInteger(BigInt.asIntN(size, rax), status)),
      ),
    },
    {
      name: `cvtsi2sd ${size}`,
      width: 64,
      code: [0xf2, ...rex, 0x0f, 0x2a, 0xc0],
      compute: scalar(64, (_, __, rax) => sse.f64FromInteger(BigInt.asIntN(size, rax), status)),
    },
  );
}

instructions.push(
  {
    name: "cvtss2sd",
    width: 32,
    code: [0xf3, 0x0f, 0x5a, 0xc1],
    compute: ({ a, b }) => ({ xmm: [sse.f32ToF64(Number(b[0] & LOW_32), status), a[1]] }),
  },
  {
    name: "cvtsd2ss",
    width: 64,
    code: [0xf2, 0x0f, 0x5a, 0xc1],
    compute: ({ a, b }) => ({ xmm: [(a[0] & ~LOW_32) | BigInt(sse.f64ToF32(b[0], status)), a[1]] }),
  },
  {
    name: "cvtps2dq",
    width: 32,
    code: [0x66, 0x0f, 0x5b, 0xc1],
    compute({ b }) {
      const lanes = unpackF32(b);
      forEachElement(status, 4, (lane) => {
        lanes[lane] = Number(
          BigInt.asUintN(32, sse.f32ToInteger(lanes[lane] ?? 0, 32, false, status)),
        );
      });
      return { xmm: packF32(lanes) };
    },
  },
  {
    name: "rcpss",
    width: 32,
    code: [0xf3, 0x0f, 0x53, 0xc1],
    compute: scalar(32, (_, b) => BigInt(f32Reciprocal(Number(b)))),
  },
  {
    name: "rsqrtss",
    width: 32,
    code: [0xf3, 0x0f, 0x52, 0xc1],
    compute: scalar(32, (_, b) => BigInt(f32ReciprocalSquareRoot(Number(b)))),
  },
);

for (const immediate of [0xff, 0xf1, 0x7e, 0x35]) {
  instructions.push(
    {
      name: `dpps ${immediate}`,
      width: 32,
      code: [0x66, 0x0f, 0x3a, 0x40, 0xc1, immediate],
      compute({ a, b }) {
        const sum = f32DotProduct(unpackF32(a), unpackF32(b), immediate, status) ?? 0;
        return { xmm: packF32([1, 2, 4, 8].map((bit) => (immediate & bit ? sum : 0))) };
      },
    },
    {
      name: `dppd ${immediate}`,
      width: 64,
      code: [0x66, 0x0f, 0x3a, 0x41, 0xc1, immediate],
      compute({ a, b }) {
        const sum = f64DotProduct(a, b, immediate, status) ?? 0n;
        return { xmm: [immediate & 1 ? sum : 0n, immediate & 2 ? sum : 0n] };
      },
    },
  );
}

/** Every SSE instruction under test. */
export const SSE_GROUPS: readonly Group[] = instructions.map((instruction, position) => ({
  name: instruction.name,
  generate(count) {
    const random = new Random(position * 7919 + 1);
    return Array.from({ length: count }, () => {
      const given = operands(random, instruction.width);
      const hostCase: HostCase = {
        code: instruction.code,
        mxcsr: mxcsrOperand(random),
        rax: given.rax,
        xmm: [...given.a, ...given.b],
      };
      return { hostCase, check: (answer) => check(instruction, given, hostCase, answer) };
    });
  },
}));
