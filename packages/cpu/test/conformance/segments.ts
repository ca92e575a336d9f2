import { At, P, Selector, U, W, descriptor, le } from "./world.ts";
import type { Case, World, WorldOptions } from "./world.ts";

/** Segment registers, limits and descriptor tables (Intel SDM vol. 3, chapters 3 and 5). */
const long: WorldOptions = { mode: "long" };
const user: WorldOptions = { mode: "long", cpl: 3 };
const flat: WorldOptions = { mode: "protected" };

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
