import fc from "fast-check";
import { expect, test } from "vitest";
import { createFlatProcessor } from "../flat-processor.ts";
import type { FlatProcessor } from "../flat-processor.ts";
import { Register, State } from "../state/layout.ts";

const RAM = 64 * 1024;
const CODE = 0x1000;
const DATA = 0x8000;
const OPERANDS = 8;
const REGISTERS = 4;
const DOUBLE_WORDS = 16;

/** Prefix and opcode of what works on an XMM register and another one or memory. */
const OPERATIONS = {
  addsd: [0xf2, 0x58],
  mulsd: [0xf2, 0x59],
  subsd: [0xf2, 0x5c],
  minsd: [0xf2, 0x5d],
  divsd: [0xf2, 0x5e],
  maxsd: [0xf2, 0x5f],
  sqrtsd: [0xf2, 0x51],
  movsd: [0xf2, 0x10],
  movapd: [0x66, 0x28],
  ucomisd: [0x66, 0x2e],
  pxor: [0x66, 0xef],
  unpcklpd: [0x66, 0x14],
  addpd: [0x66, 0x58],
  addss: [0xf3, 0x58],
  movss: [0xf3, 0x10],
  cvtsd2ss: [0xf2, 0x5a],
  cvtss2sd: [0xf3, 0x5a],
} as const;
/** Of memory they take 16 bytes, which are to be aligned. */
const WIDE = new Set(["movapd", "pxor", "unpcklpd", "addpd"]);

const USUAL = [1, 3, 0.1, -2.5, 1e100].map((value) => {
  return new DataView(Float64Array.of(value).buffer).getBigUint64(0, true);
});
/** Zeros, the least normal number and those around it, denormals, infinity, NaNs; some as two singles. */
const RARE = [
  0n,
  0x8000000000000000n,
  0x0010000000000000n,
  0x0010000000000001n,
  0x000fffffffffffffn,
  1n,
  0x7ff0000000000000n,
  0x7fefffffffffffffn,
  0x7ff8000000000000n,
  0x7ff4000000000000n,
  0x3f80000000000001n,
  0x7f8000007fc00001n,
];
/** The precision flag is there or not; then everything is, rounding is another, denormals are zeros, exceptions are unmasked. */
const CONTROLS = [0x1f80, 0x1fa0, 0x1fbf, 0x7fa0, 0x1fe0, 0x0fa0, 0x1e80];

/** Mostly usual, so that what is known of one counts. */
const number = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(...USUAL) },
  { weight: 1, arbitrary: fc.constantFrom(...RARE) },
);
const instruction = fc.oneof(
  {
    weight: 10,
    arbitrary: fc
      .record({
        name: fc.constantFrom(...(Object.keys(OPERATIONS) as (keyof typeof OPERATIONS)[])),
        to: fc.nat(REGISTERS - 1),
        from: fc.nat(REGISTERS - 1),
        memory: fc.boolean(),
        at: fc.nat(OPERANDS - 1),
      })
      .map(({ name, to, from, memory, at }) => {
        const [prefix, opcode] = OPERATIONS[name];
        // [rdi + 8 * at], or a register.
        const place = WIDE.has(name) ? at & ~1 : at;
        const operand = memory ? [0x47 | (to << 3), place * 8] : [0xc0 | (to << 3) | from];
        return [prefix, 0x0f, opcode, ...operand];
      }),
  },
  // movsd [rdi + 8 * at], xmm; cvtsi2sd xmm, ecx
  fc
    .tuple(fc.nat(REGISTERS - 1), fc.nat(OPERANDS - 1))
    .map(([from, at]) => [0xf2, 0x0f, 0x11, 0x47 | (from << 3), at * 8]),
  fc.nat(REGISTERS - 1).map((to) => [0xf2, 0x0f, 0x2a, 0xc1 | (to << 3)]),
  // Past a NOP if CF is set, which comparisons and shifts do: bt ecx, 1; jc
  fc.constant([0x0f, 0xba, 0xe1, 0x01, 0x72, 0x01, 0x90]),
);
const program = fc.record({
  before: fc.array(instruction, { maxLength: 4 }),
  loop: fc.array(instruction, { minLength: 1, maxLength: 8 }),
  behind: fc.array(instruction, { maxLength: 4 }),
  numbers: fc.array(number, { minLength: DOUBLE_WORDS, maxLength: DOUBLE_WORDS }),
  slices: fc.array(
    fc.record({ control: fc.constantFrom(...CONTROLS), budget: fc.integer({ min: 1, max: 80 }) }),
    { minLength: 3, maxLength: 6 },
  ),
});

/** before; mov ecx, 3; again: loop; dec ecx; jnz again; behind; jmp to the start. */
function assemble(before: number[], loop: number[], behind: number[]): Uint8Array {
  const round = [...loop, 0xff, 0xc9];
  const all = [...before, 0xb9, 3, 0, 0, 0, ...round, 0x75, -(round.length + 2), ...behind];
  return Uint8Array.from([...all, 0xeb, -(all.length + 2)]);
}

test("loops of scalar arithmetic that meet rare numbers under any MXCSR → the interpreter's registers, memory and flags", () => {
  const pair = ([0, "eager"] as const).map((tier) => createFlatProcessor({ ramBytes: RAM, tier }));
  const state = ({ vcpu, memory }: FlatProcessor): unknown => ({
    rip: vcpu.rip,
    instructions: vcpu.instructions,
    flags: vcpu.flags,
    control: vcpu.u32(State.Mxcsr).toString(16),
    fault: vcpu.u32(State.FaultVector),
    vectors: Array.from({ length: 2 * REGISTERS }, (_, i) =>
      vcpu.u64(State.Xmm + 8 * i).toString(16),
    ),
    memory: Array.from({ length: 2 * OPERANDS }, (_, i) => memory.readUint32(DATA + 4 * i)),
  });
  fc.assert(
    fc.property(program, ({ before, loop, behind, numbers, slices }) => {
      const code = assemble(before.flat(), loop.flat(), behind.flat());
      for (const { memory, vcpu } of pair) {
        memory.writeBytes(CODE, new Uint8Array(256));
        memory.writeBytes(CODE, code);
        memory.writeBytes(DATA, new Uint8Array(BigUint64Array.from(numbers).buffer));
        numbers.forEach((value, i) => vcpu.setU64(State.Xmm + 8 * i, value));
        vcpu.setU64(State.Registers + 8 * Register.Rdi, BigInt(DATA));
        vcpu.rip = BigInt(CODE);
      }
      for (const { control, budget } of slices) {
        const ends = pair.map(({ vcpu }) => {
          // Flags that are set already would hide others.
          vcpu.setU32(State.Mxcsr, control);
          return vcpu.runSlice(budget);
        });
        expect(ends[1]).toBe(ends[0]);
        expect(state(pair[1] as FlatProcessor)).toEqual(state(pair[0] as FlatProcessor));
        // An unmasked exception: it goes on from the start.
        for (const { vcpu } of pair) if (ends[0] !== 0) vcpu.rip = BigInt(CODE);
      }
    }),
    { numRuns: 150 },
  );
  const { statistics } = (pair[1] as FlatProcessor).vcpu.board.translator ?? {};
  expect(statistics?.regions).toBeGreaterThan(150);
  expect(statistics?.executed).toBeGreaterThan(1000);
}, 60_000);

const DENORMAL = 1n;
const DENORMAL_OPERAND = 2;
const ONE = 0x3ff0000000000000n;

test.each([
  // addsd xmm0, xmm1 is behind each of them; before it xmm0 is the sum of usual numbers.
  { how: "loaded", hex: "f20f1007" },
  { how: "loaded with the upper half", hex: "660f2807" },
  { how: "moved from another register", hex: "f20f10c2" },
  { how: "copied from another register", hex: "660f28c2" },
  { how: "moved from a general register", hex: "66480f6ec2" },
  { how: "made by a vector operation", hex: "660f14c2 660fc6c001 660fc6c001 660f14c2 660fc6c003" },
])("a register that held a usual number, $how a denormal → it is reported", ({ hex }) => {
  const { memory, vcpu } = createFlatProcessor({ ramBytes: RAM, tier: "eager" });
  const sum = "f20f58c1";
  memory.writeBytes(CODE, Buffer.from(`${sum}${hex}${sum}ebfe`.replaceAll(" ", ""), "hex"));
  memory.writeBytes(DATA, new Uint8Array(BigUint64Array.of(DENORMAL, 0n).buffer));
  [ONE, ONE, ONE, ONE, DENORMAL, DENORMAL].forEach((value, i) =>
    vcpu.setU64(State.Xmm + 8 * i, value),
  );
  vcpu.setU64(State.Registers + 8 * Register.Rdi, BigInt(DATA));
  vcpu.setU64(State.Registers + 8 * Register.Rdx, DENORMAL);
  vcpu.setU32(State.Mxcsr, 0x1fa0);
  vcpu.rip = BigInt(CODE);
  vcpu.runSlice(20);
  expect(vcpu.board.translator?.statistics.regions).toBeGreaterThan(0);
  expect(vcpu.u32(State.Mxcsr) & DENORMAL_OPERAND).toBe(DENORMAL_OPERAND);
  expect(vcpu.u64(State.Xmm)).toBe(ONE);
});
