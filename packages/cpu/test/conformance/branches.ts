import { At, User, descriptor, le } from "./world.ts";
import type { Case, World, WorldOptions } from "./world.ts";

/** Near branches that leave their segment or the canonical addresses fault themselves (Intel SDM vol. 2, JMP). */
const long: WorldOptions = { mode: "long" };
const flat: WorldOptions = { mode: "protected" };
const real: WorldOptions = { mode: "real" };

const F = 0x50;
const LIMIT = 0x7f;

/** Code that runs in a segment of 128 bytes, behind a far jump to it; `at` counts from the segment's start. */
const inSegment = (
  name: string,
  program: string,
  at: number,
  expect: Case["expect"] = {},
): Case => ({
  name,
  world: flat,
  prepare: (w) => {
    w.descriptor(F, descriptor(At.code, LIMIT, 0x9b, 4));
    w.state.registers[1] = 1n;
  },
  code: `ea07000000${le(F, 2)} ${program}`,
  expect: { vector: 13, error: 0, at, ...expect },
});

/** The stack pointer of the interrupted program, from where its frame lies. */
const stackKept = ({ state }: { state: World["state"] }): boolean =>
  state.registers[4] === BigInt(At.stackTop - 16);

export const branchCases: readonly Case[] = [
  inSegment("JMP rel8 beyond CS's limit → #GP 0 at the jump", "eb77", 7),
  inSegment("JMP rel32 beyond CS's limit → #GP 0 at the jump", "e900010000", 7),
  inSegment("JMP rel8 to the last byte of the segment → there", "eb76", 0x7f),
  inSegment("Jcc that is taken beyond CS's limit → #GP 0 at it", "31c0 0f8400010000", 9),
  {
    ...inSegment("Jcc beyond CS's limit that is not taken → goes on", "31c0 0f8500010000 f4", 16),
    expect: { at: 16 },
  },
  inSegment("CALL beyond CS's limit → #GP 0 at it, nothing pushed", "e800010000", 7, {
    check: stackKept,
  }),
  inSegment("JMP r32 beyond CS's limit → #GP 0 at it", "b880000000 ffe0", 12),
  inSegment(
    "CALL m32 beyond CS's limit → #GP 0 at it, nothing pushed",
    `c705${le(At.data, 4)}80000000 ff15${le(At.data, 4)}`,
    17,
    {
      check: stackKept,
    },
  ),
  inSegment("RET beyond CS's limit → #GP 0 at it, nothing popped", "6880000000 c3", 12, {
    check: ({ state }) => state.registers[4] === BigInt(At.stackTop - 20),
  }),
  inSegment("LOOP beyond CS's limit → #GP 0 at it, ECX as before", "b102 e27f", 9, {
    registers: { 1: 2n },
  }),
  inSegment("JECXZ beyond CS's limit → #GP 0 at it", "31c9 e37f", 9),
  {
    name: "real mode: JMP rel16 beyond FFFF → wraps",
    world: real,
    // Backwards over 0 of the segment lands near its end, where HLT stands.
    prepare: (w) => w.code("f4", At.code + 0xfff0),
    code: "e9edff",
    expect: { at: 0xff1 },
  },
  {
    name: "real mode: JMP with a 32-bit operand beyond FFFF → vector 13 at it",
    world: real,
    code: "66e900000100",
    expect: { vector: 13, at: 0 },
  },
  {
    name: "real mode: instruction that ends at FFFF → vector 13 behind it, no wrap",
    world: real,
    prepare: (w) => w.code("90", At.code + 0xffff),
    code: "e9fcff",
    expect: { vector: 13, at: 0 },
  },
  {
    name: "16-bit code in a segment of more than 64 KiB: JMP with a 32-bit operand → beyond FFFF",
    world: flat,
    prepare(w) {
      w.descriptor(F, descriptor(0, 0xfffff, 0x9b, 8));
      w.code("66b800000100 f4", At.code + 0x20);
    },
    code: `ea${le(At.code + 0x10, 4)}${le(F, 2)} ${"90".repeat(9)} 66e90a000000`,
    expect: { at: 0x27, registers: { 0: 0x10000n } },
  },
  {
    name: "64-bit mode: JMP rel32 out of the canonical addresses → #GP 0 at the jump",
    world: long,
    prepare(w) {
      w.page(0x7fff_ffff_f000n, At.code, 1n);
      w.state.rip = 0x7fff_ffff_f000n;
    },
    code: "e900100000",
    expect: { vector: 13, error: 0, check: ({ frame }) => frame[0] === 0x7fff_ffff_f000n },
  },
  {
    name: "64-bit mode: CALL rel32 out of the canonical addresses → #GP 0 at it, nothing pushed",
    world: long,
    prepare(w) {
      w.page(0x7fff_ffff_f000n, At.code, 1n);
      w.state.rip = 0x7fff_ffff_f000n;
    },
    code: "e800100000",
    expect: {
      vector: 13,
      error: 0,
      check: ({ frame }) => frame[0] === 0x7fff_ffff_f000n && frame[3] === BigInt(At.stackTop),
    },
  },
  {
    name: "64-bit mode: RET to an address that is not canonical → #GP 0 at it, nothing popped",
    world: long,
    code: "48b80000000000800000 50 c3",
    expect: {
      vector: 13,
      error: 0,
      at: 11,
      check: ({ frame }) => frame[3] === BigInt(At.stackTop - 8),
    },
  },
  {
    name: "MASKMOVDQU over the end of the segment, its first half in an absent page → #PF, not #GP",
    world: { mode: "protected", cpl: 3, paging: "32-bit" },
    prepare(w) {
      w.state.registers[7] = 0xfffffff2n;
      w.state.segments.ds.base = 0x20000000n;
    },
    code: "660ff7c1",
    expect: { vector: 14, error: 6, cr2: 0x1ffffff2n, check: (e) => e.frame[0] === User.code },
  },
];
