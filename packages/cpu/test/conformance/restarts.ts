import { At, P, Selector, User, W } from "./world.ts";
import type { Case, Verdict, WorldOptions } from "./world.ts";

/** Faults in the middle of an instruction leave its operands as they were (Intel SDM vol. 3, 6.6). */
const long: WorldOptions = { mode: "long" };
const compatibility: WorldOptions = { mode: "long", cpl: 3, compatibility: true };

const ends =
  (frameFlag: number, set: boolean) =>
  ({ frame }: { frame: readonly bigint[] }): Verdict =>
    ((Number(frame[2]) & frameFlag) !== 0) === set ? undefined : `flags ${String(frame[2])}`;

export const restartCases: readonly Case[] = [
  {
    name: "compatibility mode: INT3 → 64-bit frame",
    world: compatibility,
    prepare: (w) => w.gate(3, { dpl: 3 }),
    code: "cc",
    expect: {
      vector: 3,
      at: 1,
      check: ({ frame }) =>
        Number(frame[1]) === Selector.userCode32 && frame[3] === User.stackTop - 0x100n,
    },
  },
  {
    name: "REP MOVSB into an absent page → #PF with the bytes before it moved",
    world: long,
    prepare: (w) => {
      w.page(0x600000n, At.data + 0x1000, P | W);
      w.state.registers[1] = 16n;
      w.state.registers[6] = BigInt(At.data);
      w.state.registers[7] = 0x600ff8n;
    },
    code: "f3a4 f4",
    expect: {
      vector: 14,
      error: 2,
      cr2: 0x601000n,
      at: 0,
      registers: { 1: 8n, 6: BigInt(At.data + 8), 7: 0x601000n },
    },
  },
  {
    name: "REP MOVSB backwards into an absent page → #PF with the bytes before it moved",
    world: long,
    prepare: (w) => {
      w.page(0x600000n, At.data + 0x1000, P | W);
      w.state.registers[1] = 16n;
      w.state.registers[6] = BigInt(At.data + 0x100);
      w.state.registers[7] = 0x600007n;
      w.state.rflags |= 0x400;
    },
    code: "f3a4 f4",
    expect: { vector: 14, error: 2, cr2: 0x5fffffn, registers: { 1: 8n, 7: 0x5fffffn } },
  },
  {
    name: "REP STOSQ over the end of a page → #PF, the last word not half written",
    world: long,
    prepare: (w) => {
      w.page(0x600000n, At.data + 0x1000, P | W);
      w.state.registers[0] = -1n & 0xffffffffffffffffn;
      w.state.registers[1] = 4n;
      w.state.registers[7] = 0x600ff4n;
    },
    code: "f348ab f4",
    expect: {
      vector: 14,
      error: 2,
      cr2: 0x601000n,
      registers: { 1: 3n, 7: 0x600ffcn },
      check: (_, w) => w.readU32(At.data + 0x1ffc) === 0,
    },
  },
  {
    name: "REPE CMPSB into an absent page → #PF, flags of the round before",
    world: long,
    prepare: (w) => {
      w.page(0x600000n, At.data + 0x1000, P | W);
      w.state.registers[1] = 16n;
      w.state.registers[6] = BigInt(At.data);
      w.state.registers[7] = 0x600ffen;
    },
    code: "f3a6 f4",
    expect: { vector: 14, cr2: 0x601000n, registers: { 1: 14n }, check: ends(0x40, true) },
  },
  {
    name: "ADD to a read-only page → #PF, register and flags as before",
    world: long,
    prepare: (w) => {
      w.page(0x600000n, At.data, P);
      w.state.rflags |= 0x8d5;
      w.state.registers[0] = 5n;
    },
    code: "480104 2500006000",
    expect: {
      vector: 14,
      error: 3,
      registers: { 0: 5n },
      check: ({ frame }) => (Number(frame[2]) & 0x8d5) === 0x8d5,
    },
  },
  {
    name: "XCHG with a read-only page → #PF, register as before",
    world: long,
    prepare: (w) => {
      w.page(0x600000n, At.data, P);
      w.state.registers[0] = 5n;
    },
    code: "48870425 00006000",
    expect: { vector: 14, error: 3, registers: { 0: 5n } },
  },
  {
    name: "POP to an absent page → #PF, RSP as before",
    world: long,
    code: "8f0425 00006000",
    expect: {
      vector: 14,
      error: 2,
      registers: {},
      check: ({ frame }) => Number(frame[3]) === At.stackTop,
    },
  },
  {
    name: "PUSH of an absent page → #PF, RSP as before",
    world: long,
    code: "ff3425 00006000",
    expect: { vector: 14, error: 0, check: ({ frame }) => Number(frame[3]) === At.stackTop },
  },
  {
    name: "CALL with its stack in an absent page → #PF at the call",
    world: long,
    prepare: (w) => {
      w.state.registers[4] = 0x601000n;
      w.gate(14, { ist: 1 });
    },
    code: "e800010000",
    expect: {
      vector: 14,
      error: 2,
      cr2: 0x600ff8n,
      at: 0,
      check: ({ frame }) => frame[3] === 0x601000n,
    },
  },
  {
    name: "ENTER with its last slot in an absent page → #PF, RSP and RBP as before",
    world: long,
    prepare: (w) => {
      w.state.registers[4] = 0x601008n;
      w.state.registers[5] = 0x77n;
      w.page(0x601000n, At.data, P | W);
      w.gate(14, { ist: 1 });
    },
    code: "c8100000",
    expect: {
      vector: 14,
      check: ({ frame, state }) => frame[3] === 0x601008n && state.registers[5] === 0x77n,
    },
  },
];
