import fc from "fast-check";
import { expect, test } from "vitest";
import { createFlatProcessor } from "../flat-processor.ts";
import { State } from "../state/layout.ts";
import { RunStatus } from "../state/status.ts";
import { X87_OPERANDS } from "../x87/operands.ts";
import { createX87Registers } from "../x87/registers.ts";
import { X87, X87Outcome } from "../x87/x87.ts";

const CODE = 0x1000;
const DATA = 0x2000;
const RAM = 64 * 1024;
const MATH_FAULT = 16;

/** The described forms, by opcode (0 for D8) and ModRM; those below 0xc0 with an absolute address of 32 bits. */
const memory = (opcode: number, reg: number): [number, number] => [opcode, (reg << 3) | 5];
const registers = (opcode: number, first: number): [number, number][] =>
  Array.from({ length: 8 }, (_, i) => [opcode, first + i]);
const FORMS: readonly [opcode: number, modrm: number][] = [
  ...[0, 4].flatMap((opcode) => [0, 1, 2, 3, 4, 5, 6, 7].map((reg) => memory(opcode, reg))),
  ...[0, 4, 6].flatMap((opcode) =>
    [0xc0, 0xc8, 0xe0, 0xe8, 0xf0, 0xf8].flatMap((first) => registers(opcode, first)),
  ),
  ...[0xd0, 0xd8].flatMap((first) => registers(0, first)),
  ...[0xe0, 0xe8].flatMap((first) => registers(5, first)),
  ...[3, 7].flatMap((opcode) => [0xe8, 0xf0].flatMap((first) => registers(opcode, first))),
  [6, 0xd9],
  [2, 0xe9],
  [1, 0xe4],
  ...[0, 2, 3].flatMap((reg) => [memory(1, reg), memory(5, reg)]),
  memory(3, 0),
  memory(7, 0),
  memory(7, 5),
  ...registers(1, 0xc0),
  ...registers(1, 0xc8),
  ...registers(5, 0xd0),
  ...registers(5, 0xd8),
  ...[0xe0, 0xe1, 0xe8, 0xee].map((modrm): [number, number] => [1, modrm]),
  [7, 0xe0],
];

const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const significand = fc.oneof(
  u64.map((bits) => bits | (1n << 63n)),
  u64.map((bits) => (bits | (1n << 63n)) & ~0x7ffn),
  fc.constantFrom(0n, 1n << 63n, 2n ** 64n - 1n, 2n ** 64n - 0x400n, 2n ** 64n - 0xc00n),
  // Halfway between singles.
  u64.map((bits) => ((bits | (1n << 63n)) & ~0xff_ffff_ffffn) | 0x80_0000_0000n),
  u64,
);
const exponent = fc.oneof(
  fc.constantFrom(0, 1, 0x3fff, 0x7fff, 0x7ffe),
  // Around the ends of what singles and doubles have.
  ...[0x3f81, 0x407e, 0x3c01, 0x43fe].map((at) => fc.integer({ min: at - 2, max: at + 2 })),
  fc.integer({ min: 0x3ff0, max: 0x4010 }),
  fc.integer({ min: 0x3fa0, max: 0x4060 }),
  fc.nat(0x7fff),
);
/** Sums of these lie halfway between two numbers, or next to that. */
const close = fc.tuple(
  fc.constantFrom(0n, 1n, 2n, 3n, 2n ** 63n - 1n, 2n ** 62n).map((low) => (1n << 63n) | low),
  fc.constantFrom(0, 1, 2, 62, 63, 64, 65, 66).map((distance) => 0x4000 - distance),
  fc.boolean(),
);
const extended = fc.oneof(close, fc.tuple(significand, exponent, fc.boolean()));
const operand = fc.oneof(
  u64,
  fc.constantFrom(0n, 1n << 63n, 0x7ff0_0000_0000_0000n, 0x3ff0_0000_0000_0000n, 1n),
  fc.double().map((value) => {
    const view = new DataView(new ArrayBuffer(8));
    view.setFloat64(0, value, true);
    return view.getBigUint64(0, true);
  }),
  fc.float().map((value) => {
    const view = new DataView(new ArrayBuffer(8));
    view.setFloat32(0, value, true);
    return view.getBigUint64(0, true);
  }),
);
const control = fc.oneof(fc.constant(0x37f), fc.constantFrom(0x27f, 0xf7f), fc.nat(0x1fff));

/** The registers and the rest that an instruction finds. */
interface Found {
  readonly values: readonly (readonly [significand: bigint, exponent: number, negative: boolean])[];
  readonly tags: number;
  readonly status: number;
  readonly controlWord: number;
  /** In memory. */
  readonly data: bigint;
}

const { memory: ram, vcpu } = createFlatProcessor({ ramBytes: RAM, bits: 32 });

/** Runs an instruction, and has the x87 itself do the same. */
function check(
  [opcode, modrm]: readonly [number, number],
  { values, tags, status, controlWord, data }: Found,
): void {
  const { opcode: last, instructionPointer, dataPointer } = vcpu.x87.registers;
  const { codeSelector, dataSelector } = vcpu.x87.registers;
  const pointers = { instructionPointer, dataPointer, codeSelector, dataSelector };
  const expected = { ...createX87Registers(), opcode: last, ...pointers };
  values.forEach(([bitsOfIt, biased, negative], i) => {
    expected.registers[2 * i] = bitsOfIt;
    expected.registers[2 * i + 1] = BigInt(biased | (negative ? 0x8000 : 0));
  });
  expected.controlWord = (controlWord & 0x1f7f) | 0x40;
  // As it can be: with a summary of what is not masked.
  const unmasked = status & ~expected.controlWord & 0x3f;
  expected.statusWord = (status & 0x7f7f) | (unmasked ? 0x8080 : 0);
  expected.tags = tags;
  expected.registers.forEach((word, i) => vcpu.setU64(State.Fpu + 8 * i, word));
  vcpu.x87.registers.controlWord = expected.controlWord;
  vcpu.x87.registers.statusWord = expected.statusWord;
  vcpu.x87.registers.tags = tags;

  const inMemory = modrm < 0xc0;
  const bytes = [0xd8 + opcode, modrm, ...(inMemory ? [0, DATA >> 8, 0, 0] : [])];
  ram.writeBytes(CODE, Uint8Array.from(bytes));
  ram.writeUint64(DATA, data);
  vcpu.registers[0] = 0n;
  vcpu.rip = BigInt(CODE);
  const eflags = data & 1n ? 0x8d7 : 2;
  vcpu.flags = eflags;
  const faulted = vcpu.runSlice(1) === RunStatus.Fault;

  const x87 = new X87(expected);
  const use = inMemory ? X87_OPERANDS[(opcode << 3) | ((modrm >> 3) & 7)] : undefined;
  x87.operand.setBigUint64(0, data, true);
  Object.assign(x87.location, {
    codeSelector: 8,
    instructionPointer: BigInt(CODE),
    dataSelector: 16,
    dataPointer: BigInt(DATA),
  });
  x87.eflags = eflags;
  const outcome = x87.execute(opcode, modrm);
  if (outcome === X87Outcome.pending) {
    expect([faulted, vcpu.u32(State.FaultVector)]).toEqual([true, MATH_FAULT]);
    return;
  }
  expect(faulted).toBe(false);
  const ours = vcpu.x87.registers;
  const described = {
    ...visible(ours),
    data: ram.readUint64(DATA),
    ax: vcpu.registers[0],
    flags: vcpu.flags,
  };
  const size = use?.size ?? 0;
  const stored =
    outcome === X87Outcome.store
      ? (data & ~(2n ** BigInt(8 * size) - 1n)) |
        BigInt.asUintN(8 * size, x87.operand.getBigUint64(0, true))
      : data;
  const ax = outcome === X87Outcome.storeAx ? BigInt(x87.ax) : 0n;
  const flags = outcome === X87Outcome.storeFlags ? (x87.eflags & 0x45) | 2 : eflags;
  expect(described).toEqual({ ...visible(expected), data: stored, ax, flags });
}

test("instructions as they are described, with any registers and control word → what the x87 says", () => {
  const forms = (inMemory: boolean) =>
    fc.constantFrom(...FORMS.filter(([, modrm]) => modrm < 0xc0 === inMemory));
  const found = fc.record({
    values: fc.array(extended, { minLength: 8, maxLength: 8 }),
    tags: fc.oneof(fc.constant(0xff), fc.constant(0xf0), fc.nat(0xff)),
    status: fc.nat(0xffff),
    controlWord: control,
    data: operand,
  });
  fc.assert(fc.property(fc.oneof(forms(true), forms(false)), found, check), { numRuns: 4000 });
});

const USUAL = { tags: 0xff, status: 0, controlWord: 0x37f, data: 0n };
const ONE = 1n << 63n;

test("sums, differences, products and quotients next to the middle between two numbers → what the x87 says", () => {
  const significands = [0n, 1n, 2n, 3n, 2n ** 62n, ONE - 1n].map((low) => ONE | low);
  // Addition, subtraction, multiplication and division of ST(0) and ST(1), either way round.
  const forms = [0xc1, 0xe1, 0xe9, 0xc9, 0xf1, 0xf9].map((modrm) => [0, modrm] as const);
  let checked = 0;
  for (const form of forms) {
    for (const distance of [0, 1, 2, 62, 63, 64, 65, 66, 67]) {
      for (const a of significands) {
        for (const b of significands) {
          const others = Array.from({ length: 6 }, () => [ONE, 0x3fff, false] as const);
          const values = [[a, 0x4000, false], [b, 0x4000 - distance, false], ...others] as const;
          check(form, { ...USUAL, values });
          checked++;
        }
      }
    }
  }
  expect(checked).toBe(forms.length * 9 * significands.length ** 2);
});

test("numbers next to the middle between two doubles or singles, stored → what the x87 says", () => {
  let checked = 0;
  for (const [form, dropped] of [
    [memory(5, 2), 11n],
    [memory(5, 3), 11n],
    [memory(1, 2), 40n],
    [memory(1, 3), 40n],
  ] as const) {
    const half = 1n << (dropped - 1n);
    const unit = 1n << dropped;
    for (const kept of [ONE, ONE + unit, 2n ** 64n - unit]) {
      for (const rest of [0n, 1n, half - 1n, half, half + 1n, unit - 1n]) {
        const values = Array.from({ length: 8 }, () => [kept + rest, 0x3fff, true] as const);
        check(form, { ...USUAL, values });
        checked++;
      }
    }
  }
  expect(checked).toBe(4 * 3 * 6);
});

function visible(all: X87["registers"]) {
  const { controlWord, statusWord, tags, opcode, codeSelector, dataSelector } = all;
  const { instructionPointer, dataPointer } = all;
  return {
    registers: [...all.registers],
    words: { controlWord, statusWord, tags, opcode, codeSelector, dataSelector },
    pointers: { instructionPointer, dataPointer },
  };
}
