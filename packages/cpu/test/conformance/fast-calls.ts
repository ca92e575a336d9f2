import { At, Selector, User } from "./world.ts";
import type { Case, WorldOptions } from "./world.ts";

/** SYSCALL, SYSENTER and their returns (Intel SDM vol. 3, 5.8.7 and 5.8.8). */
const long: WorldOptions = { mode: "long" };
const user: WorldOptions = { mode: "long", cpl: 3 };
const flatUser: WorldOptions = { mode: "protected", cpl: 3, paging: "32-bit" };

export const fastCallCases: readonly Case[] = [
  {
    name: "SYSCALL → LSTAR, RCX and R11, selectors of STAR, flags masked",
    world: user,
    prepare: (w) => {
      w.state.rflags = 0x0ad7;
      w.state.msrs = {
        0xc0000081: 0x0023_0008_0000_0000n,
        0xc0000082: BigInt(At.handlers + 0x66),
        0xc0000084: 0x3n,
      };
    },
    code: "0f05",
    expect: {
      vector: 0x66,
      registers: { 1: User.code + 2n, 11: 0xad7n },
      check: ({ state }) =>
        state.segments.cs.selector === 8 &&
        state.segments.ss.selector === 0x10 &&
        state.rflags === 0xad6 - 0 - 0 &&
        state.segments.cs.attributes === 0xa9b,
    },
  },
  {
    name: "SYSCALL with EFER.SCE clear → #UD",
    world: user,
    prepare: (w) => void (w.state.efer &= ~1),
    code: "0f05",
    expect: { vector: 6 },
  },
  {
    name: "SYSCALL in compatibility mode → #UD, as on Intel processors",
    world: { mode: "long", cpl: 3, compatibility: true },
    code: "0f05",
    expect: { vector: 6 },
  },
  {
    name: "SYSRETQ → CPL 3, RIP of RCX, RFLAGS of R11",
    world: long,
    prepare: (w) => {
      w.state.msrs = { 0xc0000081: 0x0023_0008_0000_0000n };
      w.state.registers[1] = User.code + 3n;
      w.state.registers[11] = 0x202n;
      w.state.registers[4] = User.stackTop - 0x100n;
      w.gate(0x30, { dpl: 3 });
    },
    code: "480f07 cd30",
    expect: {
      vector: 0x30,
      at: 5,
      check: ({ frame }) =>
        Number(frame[1]) === 0x33 && Number(frame[4]) === 0x2b && Number(frame[2]) === 0x202,
    },
  },
  {
    name: "SYSRETL → 32-bit code at CPL 3",
    world: long,
    prepare: (w) => {
      w.state.msrs = { 0xc0000081: 0x0023_0008_0000_0000n };
      w.state.registers[1] = User.code + 2n;
      w.state.registers[11] = 0x2n;
      w.gate(0x30, { dpl: 3 });
    },
    code: "0f07 40cd30",
    expect: {
      vector: 0x30,
      at: 5,
      registers: { 0: 1n },
      check: ({ frame }) => Number(frame[1]) === 0x23,
    },
  },
  {
    name: "SYSRETQ to an address that is not canonical → #GP 0 at CPL 0",
    world: long,
    prepare: (w) => void (w.state.registers[1] = 1n << 47n),
    code: "480f07",
    expect: {
      vector: 13,
      error: 0,
      at: 0,
      check: ({ frame }) => Number(frame[1]) === Selector.code64,
    },
  },
  {
    name: "SYSRET at CPL 3 → #GP 0",
    world: user,
    code: "480f07",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "SYSENTER in protected mode → SYSENTER_EIP and _ESP",
    world: flatUser,
    prepare: (w) =>
      void (w.state.msrs = { 0x174: 0x18n, 0x175: 0x6800n, 0x176: BigInt(At.handlers + 0x55) }),
    code: "0f34",
    expect: {
      vector: 0x55,
      check: ({ state }) =>
        state.segments.cs.selector === 0x18 &&
        state.segments.ss.selector === 0x20 &&
        state.registers[4] === 0x6800n &&
        (state.rflags & 0x200) === 0,
    },
  },
  {
    name: "SYSENTER in 64-bit mode → 64-bit code",
    world: user,
    prepare: (w) =>
      void (w.state.msrs = { 0x174: 0x8n, 0x175: 0x6800n, 0x176: BigInt(At.handlers + 0x55) }),
    code: "0f34",
    expect: { vector: 0x55, check: ({ state }) => state.segments.cs.attributes === 0xa9b },
  },
  {
    name: "SYSENTER with a null SYSENTER_CS → #GP 0",
    world: user,
    code: "0f34",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "SYSEXIT with REX.W → 64-bit code at CPL 3",
    world: long,
    prepare: (w) => {
      w.state.msrs = { 0x174: 0x10n };
      w.state.registers[2] = User.code + 3n;
      w.state.registers[1] = 0x500f00n;
      w.gate(0x30, { dpl: 3 });
    },
    code: "480f35 cd30",
    expect: {
      vector: 0x30,
      at: 5,
      check: ({ frame }) =>
        Number(frame[1]) === 0x33 && Number(frame[3]) === 0x500f00 && Number(frame[4]) === 0x3b,
    },
  },
  { name: "SYSEXIT at CPL 3 → #GP 0", world: user, code: "0f35", expect: { vector: 13, error: 0 } },
  {
    name: "SWAPGS → GS base and KERNEL_GS_BASE change places",
    world: long,
    prepare: (w) => {
      w.state.msrs = { 0xc0000102: 0x1234n };
      w.state.segments.gs.base = 0x5678n;
    },
    code: "0f01f8 f4",
    expect: {
      check: ({ state }) =>
        state.segments.gs.base === 0x1234n && state.msrs[0xc0000102] === 0x5678n,
    },
  },
  {
    name: "SWAPGS at CPL 3 → #GP 0",
    world: user,
    code: "0f01f8",
    expect: { vector: 13, error: 0 },
  },
];
