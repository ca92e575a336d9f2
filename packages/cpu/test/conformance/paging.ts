import { A, At, D, G, LARGE, NX, P, Selector, U, User, W, le } from "./world.ts";
import type { Case, World, WorldOptions } from "./world.ts";

/** Paging (Intel SDM vol. 3, chapter 4). */
const user: WorldOptions = { mode: "long", cpl: 3 };
const supervisor: WorldOptions = { mode: "long" };
const pae: WorldOptions = { mode: "protected", paging: "pae" };
const legacy: WorldOptions = { mode: "protected", paging: "32-bit" };

const PAGE = 0x600000n;
/** mov al, [0x600000]; mov [0x600000], al; and HLT behind. */
const READ = "8a042500006000 f4";
const WRITE = "88042500006000 f4";
/** The same in 32-bit code. */
const READ32 = "a000006000 f4";
const WRITE32 = "a200006000 f4";
/** mov eax, 0x600000; jmp rax. */
const JUMP = "b800006000 ffe0";

const mapped =
  (bits: bigint, level = 1) =>
  (world: World): void =>
    world.page(PAGE, level === 1 ? At.data : 0x200000, bits, level);

const cr4 = (bits: number) => (world: World) => void (world.state.cr4 |= bits);
const both =
  (...steps: ((world: World) => void)[]) =>
  (world: World): void =>
    steps.forEach((step) => step(world));

const SMEP = 0x100000;
const SMAP = 0x200000;
const PGE = 0x80;
const PCIDE = 0x20000;

/** Makes the page table of `PAGE` writable at linear 0x700000. */
const exposeTable = (world: World): void => {
  world.page(0x700000n, world.entryAt(PAGE) & ~0xfff, P | W);
};
/** mov rbx, [PAGE]; the entry becomes rcx; `flush`; mov rdx, [PAGE]; hlt. */
const remap = (flush: string): string =>
  `488b1c2500006000 48890c25${le(0x700000, 4)} ${flush} 488b142500006000 f4`;
const remapWorld = (bits: bigint) => (world: World) => {
  world.page(PAGE, At.data, P | W | A | D | bits);
  exposeTable(world);
  world.u64(At.data, 0x1111n);
  world.u64(At.data + 0x1000, 0x2222n);
  world.state.registers[1] = BigInt(At.data + 0x1000) | P | W | A | D | bits;
};
const REMAPPED = { registers: { 3: 0x1111n, 2: 0x2222n } };

export const pagingCases: readonly Case[] = [
  {
    name: "user read of an absent page → #PF 4",
    world: user,
    code: READ,
    expect: { vector: 14, error: 4, cr2: PAGE, at: 0 },
  },
  {
    name: "user write of an absent page → #PF 6",
    world: user,
    code: WRITE,
    expect: { vector: 14, error: 6, cr2: PAGE },
  },
  {
    name: "supervisor read of an absent page → #PF 0",
    world: supervisor,
    code: READ,
    expect: { vector: 14, error: 0, cr2: PAGE },
  },
  {
    name: "user read of a supervisor page → #PF 5",
    world: user,
    prepare: mapped(P | W),
    code: READ,
    expect: { vector: 14, error: 5 },
  },
  {
    name: "user write of a read-only page → #PF 7",
    world: user,
    prepare: mapped(P | U),
    code: WRITE,
    expect: { vector: 14, error: 7 },
  },
  {
    name: "user read of a read-only page → read",
    world: user,
    prepare: mapped(P | U),
    code: READ,
    expect: { vector: 13, error: 0, at: 7 },
  },
  {
    name: "supervisor write of a read-only page, CR0.WP set → #PF 3",
    world: supervisor,
    prepare: mapped(P),
    code: WRITE,
    expect: { vector: 14, error: 3 },
  },
  {
    name: "supervisor write of a read-only page, CR0.WP clear → written",
    world: supervisor,
    prepare: both(mapped(P), (w) => void (w.state.cr0 &= ~0x10000)),
    code: WRITE,
    expect: { at: 8 },
  },
  {
    name: "user write of a page whose directory is read-only → #PF 7",
    world: user,
    prepare: both(mapped(P | W | U), (w) => w.u64(w.entryAt(PAGE, 2), w.entry(PAGE, 2) & ~W)),
    code: WRITE,
    expect: { vector: 14, error: 7 },
  },
  {
    name: "user read of a page whose directory is the supervisor's → #PF 5",
    world: user,
    prepare: both(mapped(P | W | U), (w) => w.u64(w.entryAt(PAGE, 2), w.entry(PAGE, 2) & ~U)),
    code: READ,
    expect: { vector: 14, error: 5 },
  },
  {
    name: "fetch from a no-execute page → #PF 15",
    world: user,
    prepare: mapped(P | U | NX),
    code: JUMP,
    expect: { vector: 14, error: 0x15, cr2: PAGE, at: 0 },
  },
  {
    name: "fetch through a no-execute directory → #PF 15",
    world: user,
    prepare: both(mapped(P | U), (w) => w.u64(w.entryAt(PAGE, 2), w.entry(PAGE, 2) | NX)),
    code: JUMP,
    expect: { vector: 14, error: 0x15 },
  },
  {
    name: "fetch from an absent page → #PF 14",
    world: user,
    code: JUMP,
    expect: { vector: 14, error: 0x14, cr2: PAGE },
  },
  {
    name: "fetch from a no-execute page, EFER.NXE clear → reserved bit, #PF D",
    world: user,
    prepare: both(mapped(P | U | NX), (w) => void (w.state.efer &= ~0x800)),
    code: JUMP,
    expect: { vector: 14, error: 0xd },
  },
  {
    name: "read of a page with bit 63 set, EFER.NXE clear → #PF 9",
    world: supervisor,
    prepare: both(mapped(P | NX), (w) => void (w.state.efer &= ~0x800)),
    code: READ,
    expect: { vector: 14, error: 9 },
  },
  {
    name: "supervisor fetch from a user page, SMEP → #PF 11",
    world: supervisor,
    prepare: both(mapped(P | U), cr4(SMEP)),
    code: JUMP,
    expect: { vector: 14, error: 0x11 },
  },
  {
    name: "supervisor fetch from a user page, no SMEP → executed",
    world: supervisor,
    prepare: both(mapped(P | U), (w) => w.code("90f4", At.data)),
    code: JUMP,
    expect: { at: 2 },
  },
  {
    name: "supervisor read of a user page, SMAP → #PF 1",
    world: supervisor,
    prepare: both(mapped(P | U | W), cr4(SMAP)),
    code: READ,
    expect: { vector: 14, error: 1 },
  },
  {
    name: "supervisor write of a user page, SMAP → #PF 3",
    world: supervisor,
    prepare: both(mapped(P | U | W), cr4(SMAP)),
    code: WRITE,
    expect: { vector: 14, error: 3 },
  },
  {
    name: "STAC, then supervisor read of a user page → read",
    world: supervisor,
    prepare: both(mapped(P | U | W), cr4(SMAP)),
    code: `0f01cb ${READ}`,
    expect: { at: 11 },
  },
  {
    name: "STAC, CLAC, then supervisor read of a user page → #PF 1",
    world: supervisor,
    prepare: both(mapped(P | U | W), cr4(SMAP)),
    code: `0f01cb 0f01ca ${READ}`,
    expect: { vector: 14, error: 1, at: 6 },
  },
  {
    name: "a read that was allowed under STAC, again after CLAC → #PF 1",
    world: supervisor,
    prepare: both(mapped(P | U | W), cr4(SMAP)),
    code: `0f01cb 8a042500006000 0f01ca ${READ}`,
    expect: { vector: 14, error: 1, at: 13 },
  },
  {
    name: "descriptor table in a user page, SMAP and AC set → implicit access, #PF 1",
    world: supervisor,
    prepare: (w) => {
      w.page(PAGE, At.gdt, P | W | U);
      w.state.gdtr.base = PAGE;
      w.state.cr4 |= SMAP;
      // The handlers' code segment must still be found when the fault is delivered.
      w.gate(14, { present: false });
      w.gate(8, { present: false });
      w.state.rflags |= 0x40000;
    },
    code: "66b81000 8ed8 f4",
    expect: { end: "shutdown" },
  },
  {
    name: "reserved bit 51 of an entry → #PF 9",
    world: supervisor,
    prepare: mapped(P | W | (1n << 51n)),
    code: READ,
    expect: { vector: 14, error: 9 },
  },
  {
    name: "reserved bit of an entry, by the user → #PF D",
    world: user,
    prepare: mapped(P | W | U | (1n << 51n)),
    code: READ,
    expect: { vector: 14, error: 0xd },
  },
  {
    name: "page-size bit of a PML4 entry → #PF 9",
    world: supervisor,
    prepare: both(mapped(P | W), (w) =>
      w.u64(w.entryAt(0x8000600000n, 4), 0x200000n | P | W | LARGE),
    ),
    code: `48b80000600080000000 8a00 f4`,
    expect: { vector: 14, error: 9, cr2: 0x8000600000n },
  },
  {
    name: "2 MiB page with a reserved address bit → #PF 9",
    world: supervisor,
    prepare: mapped(P | W | 0x2000n, 2),
    code: READ,
    expect: { vector: 14, error: 9 },
  },
  {
    name: "1 GiB page with a reserved address bit → #PF 9",
    world: supervisor,
    prepare: (w) => w.page(0x40000000n, 0x2000, P | W, 3),
    code: "8a042500000040 f4",
    expect: { vector: 14, error: 9 },
  },
  {
    name: "2 MiB page → its bytes",
    world: supervisor,
    prepare: both(
      (w) => w.page(0x800000n, 0x200000, P | W, 2),
      (w) => w.u64(0x234568, 0xabcdn),
    ),
    code: `488b0425${le(0x834568, 4)} f4`,
    expect: { registers: { 0: 0xabcdn } },
  },
  {
    name: "1 GiB page → its bytes",
    world: supervisor,
    prepare: both(
      (w) => w.page(0x40000000n, 0, P | W, 3),
      (w) => w.u64(0x234568, 0xabcdn),
    ),
    code: `488b0425${le(0x40234568, 4)} f4`,
    expect: { registers: { 0: 0xabcdn } },
  },
  {
    name: "read → accessed in every level, not dirty",
    world: supervisor,
    prepare: mapped(P | W),
    code: READ,
    expect: {
      check: (_, w) =>
        [1, 2, 3, 4].every((level) => (w.entry(PAGE, level) & A) !== 0n) &&
        (w.entry(PAGE) & D) === 0n,
    },
  },
  {
    name: "write → accessed and dirty",
    world: supervisor,
    prepare: mapped(P | W),
    code: WRITE,
    expect: { check: (_, w) => (w.entry(PAGE) & (A | D)) === (A | D) },
  },
  {
    name: "read, then write → dirty",
    world: supervisor,
    prepare: mapped(P | W),
    code: `8a042500006000 ${WRITE}`,
    expect: { check: (_, w) => (w.entry(PAGE) & D) !== 0n },
  },
  {
    name: "2 MiB page written → dirty in the directory",
    world: supervisor,
    prepare: (w) => w.page(0x800000n, 0x200000, P | W, 2),
    code: `88042500008000 f4`,
    expect: { check: (_, w) => (w.entry(0x800000n, 2) & (A | D)) === (A | D) },
  },
  {
    name: "CMPXCHG that does not match → dirty all the same",
    world: supervisor,
    prepare: both(mapped(P | W), (w) => void (w.state.registers[0] = 5n)),
    code: "0fb00c2500006000 f4",
    expect: { check: (_, w) => (w.entry(PAGE) & D) !== 0n },
  },
  {
    name: "write refused → neither accessed nor dirty",
    world: user,
    prepare: mapped(P | U),
    code: WRITE,
    expect: { vector: 14, check: (_, w) => (w.entry(PAGE) & D) === 0n },
  },
  {
    name: "write across into an absent page → #PF on the second page, nothing written",
    world: supervisor,
    prepare: mapped(P | W),
    code: `48b8ffffffffffffffff 48890425${le(0x600ffc, 4)} f4`,
    expect: {
      vector: 14,
      error: 2,
      cr2: 0x601000n,
      check: (_, w) => w.readU32(At.data + 0xffc) === 0,
    },
  },
  {
    name: "write across two pages that are not neighbours → both halves",
    world: supervisor,
    prepare: both(mapped(P | W), (w) => w.page(0x601000n, At.data + 0x3000, P | W)),
    code: `48b81122334455667788 48890425${le(0x600ffc, 4)} f4`,
    expect: {
      check: (_, w) =>
        w.readU32(At.data + 0xffc) === 0x44332211 && w.readU32(At.data + 0x3000) === 0x88776655,
    },
  },
  {
    name: "read across two pages that are not neighbours → both halves",
    world: supervisor,
    prepare: both(
      mapped(P | W),
      (w) => w.page(0x601000n, At.data + 0x3000, P | W),
      (w) => w.u32(At.data + 0xffc, 0x11111111),
      (w) => w.u32(At.data + 0x3000, 0x22222222),
    ),
    code: `488b0425${le(0x600ffc, 4)} f4`,
    expect: { registers: { 0: 0x2222222211111111n } },
  },
  {
    name: "address that is not canonical → #GP 0",
    world: supervisor,
    code: "48b80000000000800000 8a00 f4",
    expect: { vector: 13, error: 0, at: 10 },
  },
  {
    name: "address that is not canonical, by rBP → #SS 0",
    world: supervisor,
    code: "48bd0000000000800000 8a4500 f4",
    expect: { vector: 12, error: 0, at: 10 },
  },
  {
    name: "INVLPG after an entry changed → the new page",
    world: supervisor,
    prepare: remapWorld(0n),
    code: remap("0f013c2500006000"),
    expect: REMAPPED,
  },
  {
    name: "INVLPG of a global page → the new page",
    world: supervisor,
    prepare: both(cr4(PGE), remapWorld(G)),
    code: remap("0f013c2500006000"),
    expect: REMAPPED,
  },
  {
    name: "INVLPG inside a 2 MiB page → the new one",
    world: supervisor,
    prepare: (w) => {
      w.page(0x800000n, 0x200000, P | W | A | D, 2);
      w.page(0x700000n, w.entryAt(0x800000n, 2) & ~0xfff, P | W);
      w.u64(0x200000, 0x1111n);
      w.u64(0x400000, 0x2222n);
      w.state.registers[1] = 0x400000n | P | W | A | D | LARGE;
    },
    code: `488b1c2500008000 48890c25${le(0x700020, 4)} 0f013c2534128000 488b142500008000 f4`,
    expect: REMAPPED,
  },
  {
    name: "MOV CR3 after an entry changed → the new page",
    world: supervisor,
    prepare: remapWorld(0n),
    code: remap("0f20d8 0f22d8"),
    expect: REMAPPED,
  },
  {
    name: "CR4.PGE toggled after a global entry changed → the new page",
    world: supervisor,
    prepare: both(cr4(PGE), remapWorld(G)),
    code: remap("0f20e0 4835 80000000 0f22e0"),
    expect: REMAPPED,
  },
  ...([0, 1, 2, 3] as const).map((type): Case => ({
    name: `INVPCID type ${type} after an entry changed → the new page`,
    world: supervisor,
    prepare: both(remapWorld(0n), (w) => w.u64(At.data + 0x2008, PAGE)),
    code: remap(`b8${le(type, 4)} 660f38820425${le(At.data + 0x2000, 4)}`),
    expect: REMAPPED,
  })),
  {
    name: "INVPCID type 4 → #GP 0",
    world: supervisor,
    code: `b804000000 660f38820425${le(At.data, 4)} f4`,
    expect: { vector: 13, error: 0 },
  },
  {
    name: "INVPCID with reserved bits of the descriptor → #GP 0",
    world: supervisor,
    prepare: (w) => w.u64(At.data, 0x1000n),
    code: `31c0 660f38820425${le(At.data, 4)} f4`,
    expect: { vector: 13, error: 0 },
  },
  {
    name: "INVPCID of another PCID while CR4.PCIDE is clear → #GP 0",
    world: supervisor,
    prepare: (w) => w.u64(At.data, 1n),
    code: `31c0 660f38820425${le(At.data, 4)} f4`,
    expect: { vector: 13, error: 0 },
  },
  {
    name: "INVPCID by the user → #GP 0",
    world: user,
    code: `31c0 660f38820425${le(0x400000, 4)} f4`,
    expect: { vector: 13, error: 0 },
  },
  {
    name: "two page tables under two PCIDs → each its own page",
    world: supervisor,
    prepare: (w) => {
      w.state.cr4 |= PCIDE;
      w.page(PAGE, At.data, P | W);
      // A second set of tables, alike but for PAGE.
      w.machine.write(0x180000, w.machine.read(At.tables, 0x20000));
      const shift = 0x80000;
      for (let at = 0x180000; at < 0x1a0000; at += 8) {
        const entry = w.readU64(at);
        const target = Number(entry & 0xfffff000n);
        if (target >= At.tables && target < At.tables + 0x20000) w.u64(at, entry + BigInt(shift));
      }
      w.u64(w.entryAt(PAGE) + shift, BigInt(At.data + 0x1000) | P | W);
      w.u64(At.data, 0x1111n);
      w.u64(At.data + 0x1000, 0x2222n);
    },
    code: `488b1c2500006000 b801001800 0f22d8 488b142500006000 48b8${le((1n << 63n) | 0x100000n, 8)} 0f22d8 488b0c2500006000 f4`,
    expect: { registers: { 3: 0x1111n, 2: 0x2222n, 1: 0x1111n } },
  },
  {
    name: "CR4.PCIDE set while CR3 has a PCID → #GP 0",
    world: supervisor,
    prepare: (w) => void (w.state.cr3 |= 8n),
    code: `0f20e0 480d${le(PCIDE, 4)} 0f22e0 f4`,
    expect: { vector: 13, error: 0 },
  },
  {
    name: "CR3 with bits beyond the physical addresses → #GP 0",
    world: supervisor,
    code: `48b8${le(1n << 51n, 8)} 0f22d8 f4`,
    expect: { vector: 13, error: 0, at: 10 },
  },
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
  {
    name: "user code runs on a page that the supervisor reads as well → both",
    world: user,
    prepare: both(mapped(P | U), (w) => w.gate(0x30, { dpl: 3 })),
    code: "cd30",
    expect: { vector: 0x30, at: 2 },
  },
  {
    name: "CR2 of a fault at the top of the address space → that address",
    world: supervisor,
    code: "8a0425ffffffff f4",
    expect: { vector: 14, error: 0, cr2: 0xffffffffffffffffn },
  },
  {
    name: "user page fault on the stack of the handler → #DF 0",
    world: user,
    prepare: (w) => {
      w.u64(At.tss + 4, 0x900000n);
      w.gate(8, { ist: 1 });
    },
    code: READ,
    expect: { vector: 8, error: 0 },
  },
  {
    name: "user fetch of a supervisor page → #PF 15",
    world: user,
    code: `b8${le(At.code, 4)} ffe0`,
    expect: { vector: 14, error: 0x15, cr2: BigInt(At.code) },
  },
  {
    name: "fetch of an instruction whose second page is absent → #PF, rip at its start",
    world: { mode: "long", cpl: 3 },
    prepare: (w) => {
      w.u64(w.entryAt(User.code + 0x1000n), 0n);
      w.code("b811223344", At.code + 0xffd);
      w.state.rip = User.code + 0xffdn;
    },
    code: "90",
    expect: { vector: 14, error: 0x14, cr2: User.code + 0x1000n, at: 0xffd },
  },
  {
    name: "instruction across two pages that are not neighbours → both halves",
    world: supervisor,
    prepare: (w) => {
      w.page(0x600000n, At.code, P);
      w.page(0x601000n, At.data, P);
      w.code("b81122", At.code + 0xffd);
      w.code("3344f4", At.data);
      w.state.rip = 0x600ffdn;
    },
    code: "90",
    expect: { registers: { 0: 0x44332211n } },
  },
  {
    name: "data selector loaded from a descriptor in a read-only page → accessed bit written by the system, #PF 3",
    world: supervisor,
    prepare: (w) => {
      w.descriptor(Selector.free, 0x00cf92000000ffffn);
      w.page(BigInt(At.gdt), At.gdt, P);
    },
    code: `66b8${le(Selector.free, 2)} 8ed8 f4`,
    expect: {
      vector: 14,
      error: 3,
      cr2: BigInt(At.gdt + Selector.free + 5),
      check: (_, w) => w.readU64(At.gdt + Selector.free) === 0x00cf92000000ffffn,
    },
  },
];
