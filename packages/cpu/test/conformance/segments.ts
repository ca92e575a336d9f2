import { At, P, Selector, U, User, W, descriptor, gate, le } from "./world.ts";
import type { Case, World, WorldOptions } from "./world.ts";

/** Descriptors, far transfers, gates and returns (Intel SDM vol. 3, chapters 5 and 6). */
const long: WorldOptions = { mode: "long" };
const user: WorldOptions = { mode: "long", cpl: 3 };
const flat: WorldOptions = { mode: "protected" };
const flatUser: WorldOptions = { mode: "protected", cpl: 3, paging: "32-bit" };

const F = Selector.free;
/** mov ax, selector; then 8e and a ModRM byte. */
const load = (selector: number, modrm: string): string => `66b8${le(selector, 2)} 8e${modrm} f4`;
const ds = (selector: number): string => load(selector, "d8");
const ss = (selector: number): string => load(selector, "d0");

const slot = (value: bigint, high?: bigint) => (world: World) => world.descriptor(F, value, high);
const data = (access: number, limit = 0xfffff, flags = 0xc): bigint =>
  descriptor(0, limit, access, flags);
const code = (access: number, flags = 0xc): bigint => descriptor(0, 0xfffff, access, flags);

const refused = (
  name: string,
  world: WorldOptions,
  value: bigint,
  program: string,
  vector: number,
): Case => ({
  name,
  world,
  prepare: slot(value),
  code: program,
  expect: { vector, error: F, at: 4 },
});

/** Frame for IRET, pushed by a program of its own: pushes immediates. */
const pushes = (...values: readonly number[]): string =>
  values.map((value) => `68${le(value, 4)}`).join("");

/** Puts a descriptor at slot F whose segment begins at the data page and is a page long. */
const page = (access: number, flags = 4) => slot(descriptor(At.data, 0xfff, access, flags));

export const segmentCases: readonly Case[] = [
  {
    name: "selector beyond the GDT → #GP selector",
    world: long,
    code: ds(0x200),
    expect: { vector: 13, error: 0x200, at: 4 },
  },
  {
    name: "selector of the LDT while there is none → #GP selector",
    world: long,
    code: ds(0x14),
    expect: { vector: 13, error: 0x14 },
  },
  {
    name: "null into DS → loaded",
    world: long,
    code: ds(0),
    expect: { at: 7, check: ({ state }) => state.segments.ds.selector === 0 },
  },
  {
    name: "null into SS at CPL 0 in 64-bit mode → loaded",
    world: long,
    code: ss(0),
    expect: { at: 7 },
  },
  {
    name: "null into SS in protected mode → #GP 0",
    world: flat,
    code: ss(0),
    expect: { vector: 13, error: 0, at: 4 },
  },
  {
    name: "null into SS at CPL 3 → #GP 0",
    world: user,
    code: ss(3),
    expect: { vector: 13, error: 0 },
  },
  refused("absent data segment into DS → #NP selector", long, data(0x13), ds(F), 11),
  refused("absent data segment into SS → #SS selector", long, data(0x13), ss(F), 12),
  refused("read-only segment into SS → #GP selector", long, data(0x91), ss(F), 13),
  refused("segment of another level into SS → #GP selector", long, data(0xf3), ss(F), 13),
  refused("code segment into SS → #GP selector", long, code(0x9b), ss(F), 13),
  refused("execute-only segment into DS → #GP selector", long, code(0x99), ds(F), 13),
  refused(
    "system descriptor into DS → #GP selector",
    long,
    descriptor(0, 0x67, 0x89, 0),
    ds(F),
    13,
  ),
  {
    name: "inner data segment into DS at CPL 3 → #GP selector",
    world: user,
    code: ds(Selector.data),
    expect: { vector: 13, error: Selector.data },
  },
  {
    name: "data segment with a weaker RPL → #GP selector",
    world: flat,
    code: ds(Selector.data | 3),
    expect: { vector: 13, error: Selector.data },
  },
  {
    name: "readable code segment into DS → loaded",
    world: long,
    prepare: slot(code(0x9a)),
    code: ds(F),
    expect: { at: 7 },
  },
  {
    name: "data segment loaded → accessed bit set in the table",
    world: long,
    prepare: slot(data(0x92)),
    code: ds(F),
    expect: { check: (_, w) => ((w.readU64(At.gdt + F) >> 40n) & 1n) === 1n, at: 7 },
  },
  { name: "MOV to CS → #UD", world: long, code: load(F, "c8"), expect: { vector: 6, at: 4 } },
  {
    name: "data segment from an LDT → loaded",
    world: flat,
    prepare: (w) => {
      w.descriptor(F, descriptor(At.ldt, 0xff, 0x82, 0));
      w.u64(At.ldt + 8, descriptor(At.data, 0xfff, 0x93, 4));
      w.u32(At.data + 4, 0x77);
    },
    code: `66b8${le(F, 2)} 0f00d0 66b80c00 8ed8 a104000000 f4`,
    expect: { registers: { 0: 0x77n } },
  },

  {
    name: "read beyond a segment's limit → #GP 0",
    world: flat,
    prepare: page(0x93),
    code: `66b8${le(F, 2)} 8ed8 a0ff0f0000 a1fd0f0000 f4`,
    expect: { vector: 13, error: 0, at: 11 },
  },
  {
    name: "read beyond SS's limit → #SS 0",
    world: flat,
    prepare: page(0x93),
    code: `66b8${le(F, 2)} bdfd0f0000 bc00080000 8ed0 8b4500 f4`,
    expect: { vector: 12 },
  },
  {
    name: "write of a read-only segment → #GP 0",
    world: flat,
    prepare: page(0x91),
    code: `66b8${le(F, 2)} 8ed8 a000000000 a200000000 f4`,
    expect: { vector: 13, error: 0, at: 11 },
  },
  {
    name: "read through a null segment → #GP 0",
    world: flat,
    code: `31c0 8ed8 a000000000 f4`,
    expect: { vector: 13, error: 0, at: 4 },
  },
  {
    name: "write through CS → #GP 0",
    world: flat,
    code: `2ea200000200 f4`,
    expect: { vector: 13, error: 0, at: 0 },
  },
  {
    name: "read of an execute-only code segment → #GP 0",
    world: flat,
    prepare: (w) => {
      w.descriptor(F, code(0x99));
    },
    code: `ea${le(At.code + 7, 4)}${le(F, 2)} 2ea000000200 f4`,
    expect: { vector: 13, error: 0, at: 7 },
  },
  {
    name: "expand-down segment, above its limit → read",
    world: flat,
    prepare: slot(descriptor(At.data, 0xfff, 0x97, 4)),
    code: `66b8${le(F, 2)} 8ed8 a000100000 f4`,
    expect: { at: 12 },
  },
  {
    name: "expand-down segment, below its limit → #GP 0",
    world: flat,
    prepare: slot(descriptor(At.data, 0xfff, 0x97, 4)),
    code: `66b8${le(F, 2)} 8ed8 a0ff0f0000 f4`,
    expect: { vector: 13, error: 0 },
  },
  {
    name: "expand-down 16-bit segment, beyond 64 KiB → #GP 0",
    world: flat,
    prepare: slot(descriptor(At.data, 0xfff, 0x97, 0)),
    code: `66b8${le(F, 2)} 8ed8 a000000100 f4`,
    expect: { vector: 13, error: 0 },
  },
  {
    name: "segment base → added",
    world: flat,
    prepare: (w) => {
      page(0x93)(w);
      w.u32(At.data + 0x10, 0x77);
    },
    code: `66b8${le(F, 2)} 8ed8 a110000000 f4`,
    expect: { registers: { 0: 0x77n } },
  },
  {
    name: "fetch beyond CS's limit → #GP 0",
    world: flat,
    prepare: slot(descriptor(At.code, 0x20, 0x9b, 4)),
    code: `ea1e000000${le(F, 2)} ${"90".repeat(0x30)}`,
    expect: { vector: 13, error: 0, at: 0x21 },
  },
  {
    name: "instruction that ends beyond CS's limit → #GP 0, rip at its start",
    world: flat,
    prepare: slot(descriptor(At.code, 0x20, 0x9b, 4)),
    code: `ea1e000000${le(F, 2)} ${"90".repeat(0x17)} b811223344`,
    expect: { vector: 13, error: 0, at: 0x1e },
  },

  {
    name: "LLDT of what is no LDT → #GP selector",
    world: long,
    prepare: slot(descriptor(0, 0x67, 0x89, 0), 0n),
    code: `66b8${le(F, 2)} 0f00d0 f4`,
    expect: { vector: 13, error: F },
  },
  {
    name: "LLDT of an absent LDT → #NP selector",
    world: long,
    prepare: slot(descriptor(0, 0xff, 0x02, 0), 0n),
    code: `66b8${le(F, 2)} 0f00d0 f4`,
    expect: { vector: 11, error: F },
  },
  {
    name: "LTR of an available TSS → busy in the table",
    world: long,
    prepare: slot(descriptor(At.tss, 0x67, 0x89, 0), 0n),
    code: `66b8${le(F, 2)} 0f00d8 f4`,
    expect: { at: 8, check: (_, w) => ((w.readU64(At.gdt + F) >> 41n) & 1n) === 1n },
  },
  {
    name: "LTR of a busy TSS → #GP selector",
    world: long,
    prepare: slot(descriptor(At.tss, 0x67, 0x8b, 0), 0n),
    code: `66b8${le(F, 2)} 0f00d8 f4`,
    expect: { vector: 13, error: F },
  },
  {
    name: "LTR of an absent TSS → #NP selector",
    world: long,
    prepare: slot(descriptor(At.tss, 0x67, 0x09, 0), 0n),
    code: `66b8${le(F, 2)} 0f00d8 f4`,
    expect: { vector: 11, error: F },
  },
  {
    name: "LTR of null → #GP 0",
    world: long,
    code: `31c0 0f00d8 f4`,
    expect: { vector: 13, error: 0 },
  },
  {
    name: "LTR at CPL 3 → #GP 0",
    world: user,
    code: `31c0 0f00d8 f4`,
    expect: { vector: 13, error: 0 },
  },
  {
    name: "LLDT in real mode → #UD",
    world: { mode: "real" },
    code: `31c0 0f00d0 f4`,
    expect: { vector: 6 },
  },

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
  {
    name: "IRETD with VM set → virtual-8086 mode, and out of it by INT 3",
    world: flat,
    prepare: (w) => {
      w.gate(3, { dpl: 3 });
      w.code("cc", 0x1800);
    },
    code: `${pushes(6, 5, 4, 3, 0x170, 0x800, 0x23002, 0x180, 0)} cf`,
    expect: {
      vector: 3,
      check: ({ frame, state }) => {
        const [ip, cs, flags, esp, oldSs, es, dsOld, fs, gs] = frame.map(Number);
        const good =
          ip === 1 &&
          cs === 0x180 &&
          ((flags as number) & 0x20000) !== 0 &&
          esp === 0x800 &&
          oldSs === 0x170 &&
          es === 3 &&
          dsOld === 4 &&
          fs === 5 &&
          gs === 6;
        return good && state.segments.ds.selector === 0 && (state.rflags & 0x20000) === 0
          ? undefined
          : frame.join(" ");
      },
    },
  },
  {
    name: "virtual-8086 mode, IOPL 0: CLI → #GP 0",
    world: flat,
    prepare: (w) => w.code("fa", 0x1800),
    code: `${pushes(0, 0, 0, 0, 0x170, 0x800, 0x20002, 0x180, 0)} cf`,
    expect: { vector: 13, error: 0, at: 0 },
  },
  {
    name: "virtual-8086 mode, IOPL 0: INT 21 → #GP 0",
    world: flat,
    prepare: (w) => w.code("cd21", 0x1800),
    code: `${pushes(0, 0, 0, 0, 0x170, 0x800, 0x20002, 0x180, 0)} cf`,
    expect: { vector: 13, error: 0, at: 0 },
  },
  {
    name: "virtual-8086 mode, IOPL 0: PUSHF, POPF, IRET, STI → #GP 0",
    world: flat,
    prepare: (w) => w.code("9c", 0x1800),
    code: `${pushes(0, 0, 0, 0, 0x170, 0x800, 0x20002, 0x180, 0)} cf`,
    expect: { vector: 13, error: 0, at: 0 },
  },
  {
    name: "virtual-8086 mode, IOPL 3: PUSHF, POPF and INT by a DPL 3 gate → done",
    world: flat,
    prepare: (w) => {
      w.code("9c9d cd30", 0x1800);
      w.gate(0x30, { dpl: 3 });
    },
    code: `${pushes(0, 0, 0, 0, 0x170, 0x800, 0x23002, 0x180, 0)} cf`,
    expect: { vector: 0x30, at: 4 },
  },
  {
    name: "virtual-8086 mode: segment is its selector times 16",
    world: flat,
    prepare: (w) => {
      w.code("a01000 cc", 0x1800);
      w.gate(3, { dpl: 3 });
      w.machine.write(0x2010 + 0x100, Uint8Array.of(0x77));
    },
    code: `${pushes(0, 0, 0x210, 0, 0x170, 0x800, 0x23002, 0x180, 0)} cf`,
    expect: { vector: 3, check: ({ state }) => ((state.registers[0] as bigint) & 0xffn) === 0x77n },
  },
  {
    name: "virtual-8086 mode: LLDT → #UD",
    world: flat,
    prepare: (w) => w.code("0f00d0", 0x1800),
    code: `${pushes(0, 0, 0, 0, 0x170, 0x800, 0x23002, 0x180, 0)} cf`,
    expect: { vector: 6 },
  },
  {
    name: "virtual-8086 mode: HLT and MOV CR0 → #GP 0",
    world: flat,
    prepare: (w) => w.code("0f20c0", 0x1800),
    code: `${pushes(0, 0, 0, 0, 0x170, 0x800, 0x23002, 0x180, 0)} cf`,
    expect: { vector: 13, error: 0 },
  },

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
  {
    name: "LAR, LSL, VERR and VERW of the user's data segment → ZF, rights and limit",
    world: long,
    code: `66b92b00 0f02c1 0f03d1 0f00e1 0f94c3 0f00e9 0f94c7 f4`,
    expect: { registers: { 0: 0xcff300n, 2: 0xffffffffn, 3: 0x101n } },
  },
  {
    name: "LAR of an inner segment at CPL 3 → ZF clear, nothing loaded",
    world: user,
    prepare: (w) => w.gate(0x30, { dpl: 3 }),
    code: `66b91000 b877000000 0f02c1 cd30`,
    expect: {
      vector: 0x30,
      registers: { 0: 0x77n },
      check: ({ frame }) => (Number(frame[2]) & 0x40) === 0,
    },
  },
  {
    name: "user data page reached by the stack of a compatibility-mode program → 32-bit wrap",
    world: { mode: "long", cpl: 3, compatibility: true },
    prepare: (w) => {
      w.page(0n, 0, P | W | U);
      w.state.registers[4] = 4n;
      w.gate(0x30, { dpl: 3 });
    },
    code: `6877000000 cd30`,
    expect: { vector: 0x30, check: ({ frame }) => Number(frame[3]) === 0 },
  },
];
