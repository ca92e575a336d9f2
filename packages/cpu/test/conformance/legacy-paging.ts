import { A, At, D, LARGE, NX, P, W, le } from "./world.ts";
import type { Case, World, WorldOptions } from "./world.ts";

const pae: WorldOptions = { mode: "protected", paging: "pae" };
const legacy: WorldOptions = { mode: "protected", paging: "32-bit" };

const PAGE = 0x600000n;
/** The same in 32-bit code. */
const READ32 = "a000006000 f4";
const WRITE32 = "a200006000 f4";
/** mov eax, 0x600000; jmp rax. */
const JUMP = "b800006000 ffe0";

const mapped =
  (bits: bigint, level = 1) =>
  (world: World): void =>
    world.page(PAGE, level === 1 ? At.data : 0x200000, bits, level);

const both =
  (...steps: ((world: World) => void)[]) =>
  (world: World): void =>
    steps.forEach((step) => step(world));

export const legacyPagingCases: readonly Case[] = [
  {
    name: "PAE: read of a page → its bytes",
    world: pae,
    prepare: both(mapped(P | W), (w) => w.u32(At.data, 0x77)),
    code: READ32,
    expect: { registers: { 0: 0x77n } },
  },
  {
    name: "PAE: no-execute page → #PF 11",
    world: pae,
    prepare: mapped(P | NX),
    code: JUMP,
    expect: { vector: 14, error: 0x11 },
  },
  {
    name: "PAE: bits 52–62 of an entry → #PF 9",
    world: pae,
    prepare: mapped(P | W | (1n << 55n)),
    code: READ32,
    expect: { vector: 14, error: 9 },
  },
  {
    name: "PAE: 2 MiB page → its bytes",
    world: pae,
    prepare: both(
      (w) => w.page(0x800000n, 0x200000, P | W, 2),
      (w) => w.u32(0x234568, 0x77),
    ),
    code: `a1${le(0x834568, 4)} f4`,
    expect: { registers: { 0: 0x77n } },
  },
  {
    name: "PAE: MOV CR3 to a table whose PDPTE has reserved bits → #GP 0",
    world: pae,
    prepare: (w) => w.u64(At.data, 0x100000n | P | W),
    code: `b8${le(At.data, 4)} 0f22d8 f4`,
    expect: { vector: 13, error: 0, at: 5 },
  },
  {
    name: "PAE: a PDPTE written after MOV CR3 → the old one still counts",
    world: pae,
    prepare: (w) => w.page(0x700000n, At.tables, P | W),
    code: `c70500007000 00000000 ${READ32.slice(0, 2)}${le(At.data, 4)} f4`,
    expect: { at: 16 },
  },
  {
    name: "32-bit paging: read of a page → its bytes",
    world: legacy,
    prepare: both(mapped(P | W), (w) => w.u32(At.data, 0x77)),
    code: READ32,
    expect: { registers: { 0: 0x77n } },
  },
  {
    name: "32-bit paging: write of a read-only page → #PF 3",
    world: legacy,
    prepare: mapped(P),
    code: WRITE32,
    expect: { vector: 14, error: 3 },
  },
  {
    name: "32-bit paging: 4 MiB page → its bytes, accessed and dirty",
    world: legacy,
    prepare: both(
      (w) => w.page(0x800000n, 0x400000, P | W, 2),
      (w) => w.u32(0x4234568 & 0x7fffff, 0x77),
    ),
    code: `a1${le(0x834568, 4)} a3${le(0x834570, 4)} f4`,
    expect: {
      registers: { 0: 0n },
      check: (_, w) => (w.entry(0x800000n, 2) & (A | D)) === (A | D),
    },
  },
  {
    name: "32-bit paging: 4 MiB page with the reserved bit 21 → #PF 9",
    world: legacy,
    prepare: (w) => w.page(0x800000n, 0x600000, P | W, 2),
    code: `a1${le(0x800000, 4)} f4`,
    expect: { vector: 14, error: 9 },
  },
  {
    name: "32-bit paging: page-size bit while CR4.PSE is clear → a page table",
    world: legacy,
    prepare: (w) => {
      w.page(PAGE, At.data, P | W);
      w.u32(w.entryAt(PAGE, 2), Number(w.entry(PAGE, 2) | LARGE));
      w.u32(At.data, 0x77);
      w.state.cr4 &= ~0x10;
    },
    code: READ32,
    expect: { registers: { 0: 0x77n } },
  },
];
