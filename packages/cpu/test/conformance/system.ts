import { wrmsr } from "./x2apic.ts";
import { At, Selector, descriptor, le } from "./world.ts";
import type { Case, WorldOptions } from "./world.ts";

/** Modes, control registers and what they allow (Intel SDM vol. 3, chapters 2 and 10). */
const long: WorldOptions = { mode: "long" };
const user: WorldOptions = { mode: "long", cpl: 3 };
const flat: WorldOptions = { mode: "protected" };
const real: WorldOptions = { mode: "real" };

/** mov rax, cr; or eax, bits; mov cr, rax. */
const setBits = (cr: number, bits: number): string =>
  `0f20${le(0xc0 | (cr << 3), 1)} 0d${le(bits, 4)} 0f22${le(0xc0 | (cr << 3), 1)}`;

const privileged = (what: string, code: string): Case => ({
  name: `${what} at CPL 3 → #GP 0`,
  world: user,
  code,
  expect: { vector: 13, error: 0, at: 0 },
});

export const systemCases: readonly Case[] = [
  {
    name: "real mode → protected mode: LGDT, CR0.PE, far jump",
    world: real,
    prepare: (w) => {
      w.code(`${le(0xff, 2)}${le(At.gdt, 4)}`, At.code + 0x80);
      w.code("66b81000 8ed8 8ed0 b877000000 f4", At.code + 0x40);
    },
    code: `2e660f011680 00 0f20c0 6683c801 0f22c0 66ea${le(At.code + 0x40, 4)}${le(Selector.code32, 2)}`,
    expect: {
      registers: { 0: 0x77n },
      check: ({ state }) => state.segments.cs.selector === Selector.code32 && (state.cr0 & 1) === 1,
    },
  },
  {
    name: "protected mode → 64-bit mode: PAE, CR3, EFER.LME, CR0.PG, far jump",
    world: flat,
    prepare: (w) => {
      w.u64(0x1000, 0x80000000n);
      // Identity map of 2 MiB: PML4 at 180000, PDPT, PD.
      w.u64(0x180000, 0x181003n);
      w.u64(0x181000, 0x182003n);
      w.u64(0x182000, 0x83n);
      w.code("48b81122334455667788 f4", At.code + 0x80);
    },
    code: `${setBits(4, 0x20)} b800001800 0f22d8 ${wrmsr(0xc0000080, 0x100)} 0f20c0 0d00000080 0f22c0 ea${le(At.code + 0x80, 4)}${le(Selector.code64, 2)}`,
    expect: {
      registers: { 0: 0x8877665544332211n },
      check: ({ state }) => (state.efer & 0x500) === 0x500,
    },
  },
  {
    name: "CR0.PG with EFER.LME but no CR4.PAE → #GP 0",
    world: flat,
    code: `${wrmsr(0xc0000080, 0x100)} 0f20c0 0d00000080 0f22c0 f4`,
    expect: { vector: 13, error: 0 },
  },
  {
    name: "64-bit mode → CR0.PG cleared → #GP 0",
    world: long,
    code: "0f20c0 25ffffff7f 0f22c0 f4",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "compatibility mode → CR0.PG cleared, EFER.LMA gone",
    world: { mode: "long", compatibility: true },
    code: "0f20c0 25ffffff7f 0f22c0 f4",
    expect: { at: 12, check: ({ state }) => (state.efer & 0x400) === 0 },
  },
  {
    name: "protected mode → real mode by a 16-bit code segment",
    world: flat,
    prepare: (w) => {
      w.descriptor(Selector.free, descriptor(At.code, 0xffff, 0x9b, 0));
      w.code(`0f20c0 6683e0fe 0f22c0 ea${le(0x40, 2)}${le(At.code >> 4, 2)}`, At.code + 0x20);
      w.code("8cc8 f4", At.code + 0x40);
    },
    code: `ea20000000${le(Selector.free, 2)}`,
    expect: {
      check: ({ state }) =>
        state.segments.cs.selector === At.code >> 4 &&
        ((state.registers[0] as bigint) & 0xffffn) === BigInt(At.code >> 4),
    },
  },
  {
    name: "CR0.PG without PE → #GP 0",
    world: real,
    code: "0f20c0 660d00000080 0f22c0 f4",
    expect: { vector: 13 },
  },
  {
    name: "CR0.NW without CD → #GP 0",
    world: long,
    code: `${setBits(0, 0x20000000)} f4`,
    expect: { vector: 13, error: 0 },
  },
  {
    name: "CR4 with a reserved bit → #GP 0",
    world: long,
    code: `${setBits(4, 0x8000000)} f4`,
    expect: { vector: 13, error: 0 },
  },
  {
    name: "CR4.PAE cleared in IA-32e mode → #GP 0",
    world: long,
    code: "0f20e0 83e0df 0f22e0 f4",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "CR8 above 15 → #GP 0",
    world: long,
    code: "b810000000 440f22c0 f4",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "CR8 written → CR8 and TPR",
    world: long,
    prepare: (w) => void (w.state.msrs = { 0x1b: 0xfee00d00n }),
    code: `b805000000 440f22c0 b908080000 0f32 89c3 440f20c1 f4`,
    expect: { registers: { 3: 0x50n, 1: 5n } },
  },
  { name: "MOV to CR1 → #UD", world: long, code: "0f22c8", expect: { vector: 6 } },
  {
    name: "LMSW with PE clear → PE stays",
    world: flat,
    code: "31c0 0f01f0 0f20c0 f4",
    expect: { check: ({ state }) => (state.cr0 & 1) === 1 },
  },
  {
    name: "SMSW in 64-bit mode → CR0",
    world: long,
    code: "0f01e0 0f20c3 f4",
    expect: {
      check: ({ state }) =>
        ((state.registers[0] as bigint) & 0xffffffffn) ===
        ((state.registers[3] as bigint) & 0xffffffffn),
    },
  },
  {
    name: "SGDT, LGDT in 64-bit mode → ten bytes",
    world: long,
    code: `0f010425${le(At.data, 4)} 0f011425${le(At.data, 4)} f4`,
    expect: {
      check: (_, w) =>
        w.readU64(At.data + 2) === BigInt(At.gdt) && (w.readU32(At.data) & 0xffff) === 0xff,
    },
  },
  {
    name: "LGDT of a base that is not canonical → #GP 0",
    world: long,
    prepare: (w) => w.u64(At.data + 2, 1n << 47n),
    code: `0f011425${le(At.data, 4)}`,
    expect: { vector: 13, error: 0 },
  },
  {
    name: "LGDT with 16-bit operands → 24 bits of base",
    world: flat,
    prepare: (w) => w.u64(At.data, 0x7f00_2000_00ffn),
    code: `660f0115${le(At.data, 4)} f4`,
    expect: { check: ({ state }) => state.gdtr.base === BigInt(At.gdt) },
  },
  privileged("HLT", "f4"),
  privileged("LGDT", `0f011425${le(0x400000, 4)}`),
  privileged("LIDT", `0f011c25${le(0x400000, 4)}`),
  privileged("MOV from CR0", "0f20c0"),
  privileged("MOV to CR3", "0f22d8"),
  privileged("CLTS", "0f06"),
  privileged("INVD", "0f08"),
  privileged("WBINVD", "0f09"),
  privileged("INVLPG", "0f013c2500004000"),
  privileged("RDMSR", "0f32"),
  privileged("WRMSR", "0f30"),
  privileged("LMSW", "0f01f0"),
  privileged("CLI", "fa"),
  privileged("STI", "fb"),
  {
    name: "XSETBV at CPL 3 → #GP 0",
    world: user,
    prepare: (w) => void (w.state.cr4 |= 0x40000),
    code: "0f01d1",
    expect: { vector: 13, error: 0 },
  },
  { name: "CLAC at CPL 3 → #UD", world: user, code: "0f01ca", expect: { vector: 6 } },
  {
    name: "SGDT, SIDT, SLDT, STR, SMSW at CPL 3 with CR4.UMIP → #GP 0",
    world: user,
    prepare: (w) => void (w.state.cr4 |= 0x800),
    code: "0f00c8",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "STR at CPL 3 without CR4.UMIP → the selector",
    world: user,
    prepare: (w) => w.gate(0x30, { dpl: 3 }),
    code: "0f00c8 cd30",
    expect: { vector: 0x30, registers: { 0: BigInt(Selector.tss) } },
  },
  {
    name: "RDTSC at CPL 3 with CR4.TSD → #GP 0",
    world: user,
    prepare: (w) => void (w.state.cr4 |= 4),
    code: "0f31",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "RDPMC at CPL 3 without CR4.PCE → #GP 0",
    world: user,
    code: "31c9 0f33",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "CLI at CPL 3 with IOPL 3 → done",
    world: user,
    prepare: (w) => {
      w.state.rflags |= 0x3200;
      w.gate(0x30, { dpl: 3 });
    },
    code: "fa cd30",
    expect: { vector: 0x30, check: ({ frame }) => (Number(frame[2]) & 0x200) === 0 },
  },
  {
    name: "POPF at CPL 3 with IOPL 0 → IF and IOPL stay",
    world: user,
    prepare: (w) => {
      w.state.rflags |= 0x200;
      w.gate(0x30, { dpl: 3 });
    },
    code: "6802300000 9d cd30",
    expect: { vector: 0x30, check: ({ frame }) => (Number(frame[2]) & 0x3200) === 0x200 },
  },
  {
    name: "WRFSBASE, RDFSBASE with CR4.FSGSBASE → the base",
    world: long,
    prepare: (w) => void (w.state.cr4 |= 0x10000),
    code: "48b80011223344550000 f3480faed0 f3480faec3 f4",
    expect: { registers: { 3: 0x554433221100n } },
  },
  {
    name: "RDFSBASE without CR4.FSGSBASE → #UD",
    world: long,
    code: "f3480faec0",
    expect: { vector: 6 },
  },
  {
    name: "WRGSBASE of an address that is not canonical → #GP 0",
    world: long,
    prepare: (w) => void (w.state.cr4 |= 0x10000),
    code: "48b80000000000800000 f3480faed8",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "XGETBV without CR4.OSXSAVE → #UD",
    world: long,
    code: "31c9 0f01d0",
    expect: { vector: 6 },
  },
  {
    name: "XSETBV of 3, XGETBV → 3",
    world: long,
    prepare: (w) => void (w.state.cr4 |= 0x40000),
    code: "31c9 31d2 b803000000 0f01d1 31c0 0f01d0 f4",
    expect: { registers: { 0: 3n } },
  },
  {
    name: "XSETBV without x87 → #GP 0",
    world: long,
    prepare: (w) => void (w.state.cr4 |= 0x40000),
    code: "31c9 31d2 b802000000 0f01d1",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "XSETBV of a component that is not offered → #GP 0",
    world: long,
    prepare: (w) => void (w.state.cr4 |= 0x40000),
    code: "31c9 31d2 b807000000 0f01d1",
    expect: { vector: 13, error: 0 },
  },
];
