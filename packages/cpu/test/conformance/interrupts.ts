import { At, Selector, descriptor, le } from "./world.ts";
import { apic, selfIpi } from "./x2apic.ts";
import type { Case, Verdict, WorldOptions } from "./world.ts";

/** Delivery of interrupts and exceptions, and what becomes of faults on the way (Intel SDM vol. 3, chapter 6). */
const long: WorldOptions = { mode: "long" };
const user: WorldOptions = { mode: "long", cpl: 3 };
const flat: WorldOptions = { mode: "protected" };
const real: WorldOptions = { mode: "real" };

const ends =
  (frameFlag: number, set: boolean) =>
  ({ frame }: { frame: readonly bigint[] }): Verdict =>
    ((Number(frame[2]) & frameFlag) !== 0) === set ? undefined : `flags ${String(frame[2])}`;

export const interruptCases: readonly Case[] = [
  {
    name: "INT through a gate of DPL 3 at CPL 3 → its handler, rip behind it",
    world: user,
    prepare: (w) => w.gate(0x30, { dpl: 3 }),
    code: "cd30",
    expect: { vector: 0x30, at: 2 },
  },
  {
    name: "INT through a gate of DPL 0 at CPL 3 → #GP vector × 8 + 2",
    world: user,
    code: "cd30",
    expect: { vector: 13, error: 0x182, at: 0 },
  },
  {
    name: "INT3 through a gate of DPL 0 at CPL 3 → #GP 1A",
    world: user,
    code: "cc",
    expect: { vector: 13, error: 0x1a, at: 0 },
  },
  {
    name: "INT through an absent gate → #NP vector × 8 + 2",
    world: long,
    prepare: (w) => w.gate(0x30, { present: false }),
    code: "cd30",
    expect: { vector: 11, error: 0x182, at: 0 },
  },
  {
    name: "INT beyond the IDT's limit → #GP vector × 8 + 2",
    world: long,
    prepare: (w) => void (w.state.idtr.limit = 0x1ff),
    code: "cd30",
    expect: { vector: 13, error: 0x182 },
  },
  {
    name: "INT through what is no gate → #GP vector × 8 + 2",
    world: long,
    prepare: (w) => w.gate(0x30, { type: 12 }),
    code: "cd30",
    expect: { vector: 13, error: 0x182 },
  },
  {
    name: "gate to a null selector → #GP 0",
    world: long,
    prepare: (w) => w.gate(0x30, { selector: 0 }),
    code: "cd30",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "gate to a data segment → #GP selector",
    world: long,
    prepare: (w) => w.gate(0x30, { selector: Selector.data }),
    code: "cd30",
    expect: { vector: 13, error: Selector.data },
  },
  {
    name: "gate to 32-bit code in IA-32e mode → #GP selector",
    world: long,
    prepare: (w) => w.gate(0x30, { selector: Selector.code32 }),
    code: "cd30",
    expect: { vector: 13, error: Selector.code32 },
  },
  {
    name: "gate to an absent code segment → #NP selector",
    world: long,
    prepare: (w) => {
      w.descriptor(Selector.free, descriptor(0, 0xfffff, 0x1b, 0xa));
      w.gate(0x30, { selector: Selector.free });
    },
    code: "cd30",
    expect: { vector: 11, error: Selector.free },
  },
  {
    name: "exception while delivering an external event → error code with EXT",
    world: long,
    prepare: (w) => {
      apic(w);
      w.gate(0x30, { present: false });
    },
    code: `fb ${selfIpi(0x30)} 90 f4`,
    expect: { vector: 11, error: 0x183 },
  },
  {
    name: "UD2 → #UD, rip at it, RF in its image",
    world: long,
    code: "0f0b",
    expect: { vector: 6, at: 0, check: ends(0x10000, true) },
  },
  {
    name: "INT n → no RF in its image",
    world: long,
    code: "cd30",
    expect: { vector: 0x30, check: ends(0x10000, false) },
  },
  {
    name: "interrupt gate → IF, TF, NT cleared",
    world: long,
    prepare: (w) => void (w.state.rflags |= 0x4200),
    code: "cd30",
    expect: {
      vector: 0x30,
      check: ({ state, frame }) =>
        (state.rflags & 0x4300) === 0 && (Number(frame[2]) & 0x4200) === 0x4200,
    },
  },
  {
    name: "trap gate → IF stays",
    world: long,
    prepare: (w) => {
      w.gate(0x30, { type: 15 });
      w.state.rflags |= 0x200;
    },
    code: "cd30",
    expect: { vector: 0x30, check: ({ state }) => (state.rflags & 0x200) !== 0 },
  },
  {
    name: "64-bit gate on a crooked stack → frame on 16 bytes, old RSP saved",
    world: long,
    prepare: (w) => void (w.state.registers[4] = BigInt(At.stackTop - 5)),
    code: "cd30",
    expect: {
      vector: 0x30,
      registers: { 4: BigInt(At.stackTop - 0x10 - 40) },
      check: ({ frame }) => Number(frame[3]) === At.stackTop - 5,
    },
  },
  {
    name: "gate with IST 1 → that stack, at CPL 0 too",
    world: long,
    prepare: (w) => w.gate(0x30, { ist: 1 }),
    code: "cd30",
    expect: { vector: 0x30, registers: { 4: BigInt(At.istTop - 40) } },
  },
  {
    name: "gate with IST 1 from CPL 3 → that stack, SS null",
    world: user,
    prepare: (w) => w.gate(0x30, { ist: 1, dpl: 3 }),
    code: "cd30",
    expect: {
      vector: 0x30,
      registers: { 4: BigInt(At.istTop - 40) },
      check: ({ state }) => state.segments.ss.selector === 0,
    },
  },
  {
    name: "gate with an IST beyond the TSS's limit → #TS of the TSS",
    world: long,
    prepare: (w) => {
      w.gate(0x30, { ist: 1 });
      w.state.segments.tr.limit = 0x23;
    },
    code: "cd30",
    expect: { vector: 10, error: Selector.tss },
  },
  {
    name: "stack of the TSS not canonical → #SS, then #DF by an IST",
    world: user,
    prepare: (w) => {
      w.u64(At.tss + 4, 1n << 47n);
      w.gate(0x30, { dpl: 3 });
      w.gate(8, { ist: 1 });
      w.gate(12, { ist: 1 });
    },
    code: "cd30",
    expect: { vector: 12, error: 0 },
  },
  {
    name: "SS of the TSS null in protected mode → #TS 0, and no stack for it: triple fault",
    world: { mode: "protected", cpl: 3, paging: "32-bit" },
    prepare: (w) => w.u32(At.tss + 8, 0),
    code: "0f0b",
    expect: { end: "shutdown" },
  },
  {
    name: "#GP whose gate is absent → #DF 0",
    world: long,
    prepare: (w) => w.gate(13, { present: false }),
    code: "66b80002 8ed8",
    expect: { vector: 8, error: 0 },
  },
  {
    name: "#UD whose gate is absent → #NP, not #DF",
    world: long,
    prepare: (w) => w.gate(6, { present: false }),
    code: "0f0b",
    expect: { vector: 11, check: ({ error }) => ((error as number) & ~1) === 0x32 },
  },
  {
    name: "#PF whose gate is absent → #DF 0",
    world: long,
    prepare: (w) => w.gate(14, { present: false }),
    code: "8a042500006000",
    expect: { vector: 8, error: 0 },
  },
  {
    name: "#DF whose gate is absent → triple fault",
    world: long,
    prepare: (w) => {
      w.gate(13, { present: false });
      w.gate(8, { present: false });
    },
    code: "66b80002 8ed8",
    expect: { end: "shutdown" },
  },
  {
    name: "empty IDT → triple fault",
    world: long,
    prepare: (w) => void (w.state.idtr.limit = 0),
    code: "0f0b",
    expect: { end: "shutdown" },
  },
  { name: "DIV by zero → #DE at it", world: long, code: "31c9 f7f1", expect: { vector: 0, at: 2 } },
  {
    name: "INTO with OF → #OF behind it",
    world: flat,
    prepare: (w) => void (w.state.rflags |= 0x800),
    code: "ce",
    expect: { vector: 4, at: 1 },
  },
  {
    name: "BOUND outside → #BR at it",
    world: flat,
    prepare: (w) => w.u64(At.data, 0x0000_0009_0000_0003n),
    code: `b802000000 6205${le(At.data, 4)}`,
    expect: { vector: 5, at: 5 },
  },
  {
    name: "real mode: INT → three words on the stack, IF and TF cleared",
    world: real,
    prepare: (w) => void (w.state.rflags |= 0x200),
    code: "cd30",
    expect: {
      vector: 0x30,
      at: 2,
      check: ({ frame, state }) =>
        Number(frame[1]) === At.code >> 4 &&
        (Number(frame[2]) & 0x200) !== 0 &&
        (state.rflags & 0x200) === 0,
    },
  },
  {
    name: "real mode: DIV by zero → vector 0 at it",
    world: real,
    code: "31c9 f7f1",
    expect: { vector: 0, at: 2 },
  },
  {
    name: "real mode: vector beyond the IDT's limit → #DF … shutdown or vector 8",
    world: real,
    prepare: (w) => void (w.state.idtr.limit = 0x1f),
    code: "cd30",
    expect: { end: "shutdown" },
  },
  {
    name: "real mode: word at FFFF → vector 13",
    world: real,
    code: "b8ffff 89c3 8b07",
    expect: { vector: 13, at: 5 },
  },
  {
    name: "16-byte instruction → #GP 0",
    world: long,
    code: `${"66".repeat(15)}90`,
    expect: { vector: 13, error: 0, at: 0 },
  },
  {
    name: "15-byte instruction → executed",
    world: long,
    code: `${"66".repeat(14)}90 f4`,
    expect: { at: 16 },
  },
  { name: "LOCK on a register → #UD", world: long, code: "f0 01c0", expect: { vector: 6 } },
  {
    name: "LOCK on an instruction that has none → #UD",
    world: long,
    code: "f0 8b0425 00000200",
    expect: { vector: 6 },
  },
  {
    name: "LOCK ADD to memory → done",
    world: long,
    code: `b805000000 f0010425${le(At.data, 4)} f4`,
    expect: { check: (_, w) => w.readU32(At.data) === 5 },
  },
  {
    name: "crooked access at CPL 3, CR0.AM and AC set → #AC 0",
    world: user,
    prepare: (w) => {
      w.page(0x600000n, At.data, 7n);
      w.state.cr0 |= 0x40000;
      w.state.rflags |= 0x40000;
    },
    code: "8b042501006000",
    expect: { vector: 17, error: 0, at: 0 },
  },
  {
    name: "crooked access at CPL 3, CR0.AM clear → done",
    world: user,
    prepare: (w) => {
      w.page(0x600000n, At.data, 7n);
      w.state.rflags |= 0x40000;
      w.gate(0x30, { dpl: 3 });
    },
    code: "8b042501006000 cd30",
    expect: { vector: 0x30 },
  },
  {
    name: "crooked access at CPL 0, CR0.AM and AC set → done",
    world: long,
    prepare: (w) => {
      w.state.cr0 |= 0x40000;
      w.state.rflags |= 0x40000;
    },
    code: `8b0425${le(At.data + 1, 4)} f4`,
    expect: { at: 8 },
  },
  {
    name: "x87 instruction with CR0.TS → #NM",
    world: long,
    prepare: (w) => void (w.state.cr0 |= 8),
    code: "d9e8",
    expect: { vector: 7, at: 0 },
  },
  {
    name: "SSE instruction with CR0.TS → #NM",
    world: long,
    prepare: (w) => void (w.state.cr0 |= 8),
    code: "0f57c0",
    expect: { vector: 7 },
  },
  {
    name: "SSE instruction with CR4.OSFXSR clear → #UD",
    world: long,
    prepare: (w) => void (w.state.cr4 &= ~0x200),
    code: "0f57c0",
    expect: { vector: 6 },
  },
  {
    name: "x87 instruction with CR0.EM → #NM",
    world: long,
    prepare: (w) => void (w.state.cr0 |= 4),
    code: "d9e8",
    expect: { vector: 7 },
  },
  {
    name: "SSE instruction with CR0.EM → #UD",
    world: long,
    prepare: (w) => void (w.state.cr0 |= 4),
    code: "0f57c0",
    expect: { vector: 6 },
  },
  {
    name: "FWAIT with CR0.MP and TS → #NM",
    world: long,
    prepare: (w) => void (w.state.cr0 |= 8),
    code: "9b",
    expect: { vector: 7 },
  },
  {
    name: "CLTS → x87 usable again",
    world: long,
    prepare: (w) => void (w.state.cr0 |= 8),
    code: "0f06 d9e8 f4",
    expect: { at: 5 },
  },
];
