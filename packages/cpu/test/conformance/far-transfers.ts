import { At, Selector, User, descriptor, gate, le } from "./world.ts";
import type { Case, World, WorldOptions } from "./world.ts";

/** Far jumps, gates and returns (Intel SDM vol. 3, 5.8). */
const long: WorldOptions = { mode: "long" };
const user: WorldOptions = { mode: "long", cpl: 3 };
const flat: WorldOptions = { mode: "protected" };
const flatUser: WorldOptions = { mode: "protected", cpl: 3, paging: "32-bit" };

const F = Selector.free;

const slot = (value: bigint, high?: bigint) => (world: World) => world.descriptor(F, value, high);
const code = (access: number, flags = 0xc): bigint => descriptor(0, 0xfffff, access, flags);

/** Frame for IRET, pushed by a program of its own: pushes immediates. */
const pushes = (...values: readonly number[]): string =>
  values.map((value) => `68${le(value, 4)}`).join("");

export const farTransferCases: readonly Case[] = [
  {
    name: "far jump to a data segment → #GP selector",
    world: flat,
    code: `ea${le(At.code, 4)}${le(Selector.data, 2)}`,
    expect: { vector: 13, error: Selector.data, at: 0 },
  },
  {
    name: "far jump to null → #GP 0",
    world: flat,
    code: `ea${le(At.code, 4)}0000`,
    expect: { vector: 13, error: 0 },
  },
  {
    name: "far jump to an absent code segment → #NP selector",
    world: flat,
    prepare: slot(code(0x1b)),
    code: `ea${le(At.code, 4)}${le(F, 2)}`,
    expect: { vector: 11, error: F },
  },
  {
    name: "far jump to code of another level → #GP selector",
    world: flat,
    code: `ea${le(At.code, 4)}${le(Selector.userCode32, 2)}`,
    expect: { vector: 13, error: Selector.userCode32 & ~3 },
  },
  {
    name: "far jump to conforming code of an inner level → same level",
    world: flatUser,
    prepare: (w) => {
      w.descriptor(F, code(0x9f));
      w.gate(0x30, { dpl: 3 });
    },
    code: `ea${le(0x400007, 4)}${le(F, 2)} cd30`,
    expect: { vector: 0x30, check: ({ frame }) => (frame[1] as bigint) === BigInt(F | 3) },
  },
  {
    name: "far jump beyond the target's limit → #GP 0",
    world: flat,
    prepare: slot(descriptor(0, 0xff, 0x9b, 4)),
    code: `ea00010000${le(F, 2)}`,
    expect: { vector: 13, error: 0, at: 0 },
  },
  {
    name: "code segment both 64-bit and 32-bit → #GP selector",
    world: long,
    prepare: slot(code(0x9b, 0xe)),
    code: `48ff2c25${le(At.data, 4)}`,
    expect: { vector: 13, check: ({ error }) => error === 0 || error === F },
  },
  {
    name: "call gate from CPL 3 → CPL 0, stack of the TSS, parameters copied",
    world: flatUser,
    prepare: (w) => {
      w.descriptor(F, gate(Selector.code32, At.handlers + 0x77, 0xec, 2));
    },
    code: `6a55 6a66 9a00000000${le(F | 3, 2)}`,
    expect: {
      vector: 0x77,
      check: ({ frame, state }) => {
        const [eip, cs, first, second, esp, oldSs] = frame.map(Number);
        const good =
          eip === 0x40000b &&
          cs === Selector.userCode32 &&
          first === 0x66 &&
          second === 0x55 &&
          esp === Number(User.stackTop) - 0x108 &&
          oldSs === Selector.userData;
        return good && Number(state.registers[4]) === At.innerTop - 24
          ? undefined
          : frame.join(" ");
      },
    },
  },
  {
    name: "call gate of an inner level only → #GP selector",
    world: flatUser,
    prepare: (w) => w.descriptor(F, gate(Selector.code32, At.handlers, 0x8c)),
    code: `9a00000000${le(F | 3, 2)}`,
    expect: { vector: 13, error: F },
  },
  {
    name: "absent call gate → #NP selector",
    world: flatUser,
    prepare: (w) => w.descriptor(F, gate(Selector.code32, At.handlers, 0x6c)),
    code: `9a00000000${le(F | 3, 2)}`,
    expect: { vector: 11, error: F },
  },
  {
    name: "jump through a call gate to an inner level → #GP of the code selector",
    world: flatUser,
    prepare: (w) => w.descriptor(F, gate(Selector.code32, At.handlers, 0xec)),
    code: `ea00000000${le(F | 3, 2)}`,
    expect: { vector: 13, error: Selector.code32 },
  },
  {
    name: "call gate of 64-bit mode from CPL 3 → RSP0, null SS",
    world: user,
    prepare: (w) => {
      w.descriptor(F, gate(Selector.code64, At.handlers + 0x77, 0xec), 0n);
      w.code(`00000000${le(F | 3, 2)}`, At.code + 0x80);
    },
    code: `ff1c25${le(0x400080, 4)}`,
    expect: {
      vector: 0x77,
      check: ({ frame, state }) => {
        const [rip, cs, rsp, oldSs] = frame.map(Number);
        const good =
          rip === 0x400007 &&
          cs === Selector.userCode64 &&
          rsp === Number(User.stackTop) - 0x100 &&
          oldSs === Selector.userData &&
          state.segments.ss.selector === 0;
        return good && Number(state.registers[4]) === At.innerTop - 32
          ? undefined
          : frame.join(" ");
      },
    },
  },
  {
    name: "32-bit call gate in IA-32e mode, upper type bits not zero → #GP selector",
    world: user,
    prepare: (w) => {
      w.descriptor(F, gate(Selector.code64, At.handlers + 0x77, 0xec), 0x0f0000000000n);
      w.code(`00000000${le(F | 3, 2)}`, At.code + 0x80);
    },
    code: `ff1c25${le(0x400080, 4)}`,
    expect: { vector: 13, error: F },
  },
  {
    name: "RETF to CPL 3 → outer stack, inner data segments dropped",
    world: flat,
    prepare: (w) => w.gate(0x30, { dpl: 3 }),
    code: `${pushes(Selector.userData, 0xb000, Selector.userCode32, At.code + 0x16)} cb 90 cd30`,
    expect: {
      vector: 0x30,
      check: ({ frame, state }) =>
        Number(frame[3]) === 0xb000 &&
        Number(frame[1]) === Selector.userCode32 &&
        state.segments.ds.selector === 0,
    },
  },
  {
    name: "RETF to an inner level → #GP selector",
    world: flatUser,
    code: `${pushes(Selector.code32, 0x400000)} cb`,
    expect: { vector: 13, error: Selector.code32, at: 10 },
  },
  {
    name: "RETF n to CPL 3 → both stacks released",
    world: flat,
    prepare: (w) => w.gate(0x30, { dpl: 3 }),
    code: `${pushes(Selector.userData, 0xb000, 0, 0, Selector.userCode32, At.code + 0x21)} ca0800 cd30`,
    expect: { vector: 0x30, check: ({ frame }) => Number(frame[3]) === 0xb008 },
  },
  {
    name: "IRETQ to CPL 3 → user code, user stack",
    world: long,
    prepare: (w) => w.gate(0x30, { dpl: 3 }),
    code: `${pushes(Selector.userData, 0x500f00, 0x202, Selector.userCode64, 0x40001b)} 48cf cd30`,
    expect: {
      vector: 0x30,
      at: 0x1d,
      check: ({ frame }) =>
        Number(frame[3]) === 0x500f00 &&
        Number(frame[1]) === Selector.userCode64 &&
        (Number(frame[2]) & 0x200) !== 0,
    },
  },
  {
    name: "IRETQ to 32-bit code at CPL 3 → compatibility mode",
    world: long,
    prepare: (w) => w.gate(0x30, { dpl: 3 }),
    code: `${pushes(Selector.userData, 0x500f00, 0x2, Selector.userCode32, 0x40001b)} 48cf 40cd30`,
    expect: { vector: 0x30, at: 0x1e, registers: { 0: 1n } },
  },
  {
    name: "IRETQ at CPL 0 → SS and RSP popped all the same",
    world: long,
    code: `${pushes(Selector.data, 0x6800, 2, Selector.code64, At.code + 0x1b)} 48cf f4`,
    expect: { at: 0x1c, registers: { 4: 0x6800n } },
  },
  {
    name: "IRETQ with a null SS to CPL 0 → loaded",
    world: long,
    code: `${pushes(0, 0x6800, 2, Selector.code64, At.code + 0x1b)} 48cf f4`,
    expect: { at: 0x1c },
  },
  {
    name: "IRETQ with a null SS to CPL 3 → #GP 0",
    world: long,
    code: `${pushes(3, 0x6800, 2, Selector.userCode64, 0x400000)} 48cf f4`,
    expect: { vector: 13, error: 0, at: 0x19 },
  },
  {
    name: "IRETQ with SS of another level → #GP selector",
    world: long,
    code: `${pushes(Selector.data, 0x6800, 2, Selector.userCode64, 0x400000)} 48cf f4`,
    expect: { vector: 13, error: Selector.data },
  },
  {
    name: "IRETQ to an address that is not canonical → #GP 0",
    world: long,
    code: `${pushes(Selector.data, 0x6800, 2, Selector.code64)} 48b80000000000800000 50 48cf`,
    expect: { vector: 13, error: 0, at: 0x1f },
  },
  {
    name: "IRETQ with NT set → #GP 0",
    world: long,
    prepare: (w) => void (w.state.rflags |= 0x4000),
    code: "48cf",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "IRETD in protected mode at the same level → flags and address",
    world: flat,
    code: `${pushes(0xad7, Selector.code32, At.code + 0x10)} cf f4`,
    expect: {
      at: 0x11,
      check: ({ state }) => state.rflags === 0xad7 && Number(state.registers[4]) === At.stackTop,
    },
  },
  {
    name: "IRETD to CPL 3 → outer stack",
    world: flat,
    prepare: (w) => w.gate(0x30, { dpl: 3 }),
    code: `${pushes(Selector.userData, 0xb000, 0x202, Selector.userCode32, At.code + 0x1a)} cf cd30`,
    expect: { vector: 0x30, at: 0x1c, check: ({ frame }) => Number(frame[3]) === 0xb000 },
  },
];
