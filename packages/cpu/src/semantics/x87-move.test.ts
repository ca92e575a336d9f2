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
  fc.nat(0x7fff),
);
const extended = fc.tuple(significand, exponent, fc.boolean());
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
const control = fc.oneof(fc.constantFrom(0x37f, 0x27f, 0xf7f), fc.nat(0x1fff));

test("moves as they are described, with any registers and control word → what the x87 says", () => {
  const { memory: ram, vcpu } = createFlatProcessor({ ramBytes: RAM, bits: 32 });
  fc.assert(
    fc.property(
      fc.constantFrom(...FORMS),
      fc.array(extended, { minLength: 8, maxLength: 8 }),
      fc.oneof(fc.constant(0xff), fc.constant(0xf0), fc.nat(0xff)),
      fc.nat(0xffff),
      control,
      operand,
      ([opcode, modrm], values, tags, status, controlWord, data) => {
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
        const outcome = x87.execute(opcode, modrm);
        if (outcome === X87Outcome.pending) {
          expect([faulted, vcpu.u32(State.FaultVector)]).toEqual([true, MATH_FAULT]);
          return;
        }
        expect(faulted).toBe(false);
        const ours = vcpu.x87.registers;
        const described = { ...visible(ours), data: ram.readUint64(DATA), ax: vcpu.registers[0] };
        const size = use?.size ?? 0;
        const stored =
          outcome === X87Outcome.store
            ? (data & ~(2n ** BigInt(8 * size) - 1n)) |
              BigInt.asUintN(8 * size, x87.operand.getBigUint64(0, true))
            : data;
        const ax = outcome === X87Outcome.storeAx ? BigInt(x87.ax) : 0n;
        expect(described).toEqual({ ...visible(expected), data: stored, ax });
      },
    ),
    { numRuns: 3000 },
  );
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
