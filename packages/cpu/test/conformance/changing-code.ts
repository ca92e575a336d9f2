import { At, P, U, User, W, le } from "./world.ts";
import type { Case, WorldOptions } from "./world.ts";

/** Code that is written or mapped anew while it runs (Intel SDM vol. 3, 9.1.3). */
const long: WorldOptions = { mode: "long" };
const user: WorldOptions = { mode: "long", cpl: 3 };

export const changingCodeCases: readonly Case[] = [
  {
    name: "store into the next instructions of the same block → the new ones run",
    world: long,
    code: "c60501000000f4 90 90 ffc0 f4",
    expect: { at: 9, registers: { 0: 0n } },
  },
  {
    name: "store into the immediate of the next instruction → the new one",
    world: long,
    code: `c7 05 01000000 44332211 b800000000 f4`,
    expect: { registers: { 0: 0x11223344n } },
  },
  {
    name: "loop that patches its own body → each round the new body",
    world: long,
    code: "b903000000 ffc3 fe0501000000 b000 ffc9 75f2 f4",
    expect: {
      registers: { 3: 3n },
      check: ({ state }) => ((state.registers[0] as bigint) & 0xffn) === 3n,
    },
  },
  {
    name: "store through another mapping of the code's page → the new instruction runs",
    world: long,
    prepare: (w) => w.page(0x600000n, At.code, P | W),
    code: `c60425${le(0x60000a, 4)}f4 90 90 90 ffc0 f4`,
    expect: { at: 11, registers: { 0: 0n } },
  },
  {
    name: "function on another page called, patched, called again → both versions",
    world: long,
    prepare: (w) => w.code("b001 c3", At.code + 0x1000),
    code: `e8fb0f0000 88c3 c60425${le(At.code + 0x1001, 4)}02 e8ec0f0000 f4`,
    expect: {
      check: ({ state }) =>
        ((state.registers[3] as bigint) & 0xffn) === 1n &&
        ((state.registers[0] as bigint) & 0xffn) === 2n,
    },
  },
  {
    name: "function whose page is remapped → the other page's code",
    world: long,
    prepare: (w) => {
      w.page(0x600000n, At.code + 0x1000, P);
      w.page(0x700000n, w.entryAt(0x600000n) & ~0xfff, P | W);
      w.code("b001 c3", At.code + 0x1000);
      w.code("b002 c3", At.data);
      w.state.registers[6] = 0x600000n;
      w.state.registers[1] = BigInt(At.data) | P;
    },
    code: `ffd6 88c3 48890c25${le(0x700000, 4)} 0f013e ffd6 f4`,
    expect: {
      check: ({ state }) =>
        ((state.registers[3] as bigint) & 0xffn) === 1n &&
        ((state.registers[0] as bigint) & 0xffn) === 2n,
    },
  },
  {
    name: "instruction across two pages, its second half patched → the new value",
    world: long,
    prepare: (w) => {
      w.code("b811223344 c3", At.code + 0xffd);
    },
    code: `e8f80f0000 89c3 c60425${le(At.code + 0x1000, 4)}99 e8e90f0000 f4`,
    expect: { registers: { 3: 0x44332211n, 0: 0x44992211n } },
  },
  {
    name: "instruction across two pages, its second page remapped → the new value",
    world: long,
    prepare: (w) => {
      w.page(0x600000n, At.code + 0x1000, P);
      w.page(0x601000n, At.code + 0x2000, P);
      w.page(0x700000n, w.entryAt(0x601000n) & ~0xfff, P | W);
      w.code("b81122", At.code + 0x1ffd);
      w.code("3344 c3", At.code + 0x2000);
      w.code("9999 c3", At.data);
      w.state.registers[6] = 0x600ffdn;
      w.state.registers[1] = BigInt(At.data) | P;
    },
    code: `ffd6 89c3 48890c25${le(0x700008, 4)} 0f013c2500106000 ffd6 f4`,
    expect: { registers: { 3: 0x44332211n, 0: 0x99992211n } },
  },
  {
    name: "REP STOSB over the code that follows → the new code runs",
    world: long,
    prepare: (w) => {
      w.state.registers[0] = 0xf4n;
      w.state.registers[1] = 4n;
      w.state.registers[7] = BigInt(At.code + 3);
    },
    code: "f3aa 90 90 90 90 90 ffc3",
    expect: { at: 4, registers: { 3: 0n } },
  },
  {
    name: "user page mapped into two addresses as code and data → what is written through one runs through the other",
    world: user,
    prepare: (w) => {
      w.page(0x600000n, At.code, P | W | U);
      w.gate(0x30, { dpl: 3 });
    },
    code: `c60425${le(0x600009, 4)}30 cd31 90`,
    expect: { vector: 0x30, at: 10, check: ({ frame }) => frame[3] === User.stackTop - 0x100n },
  },
];
