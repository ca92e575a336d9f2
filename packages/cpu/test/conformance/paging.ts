import { A, At, D, LARGE, NX, P, Selector, U, User, W, le } from "./world.ts";
import type { Case, World, WorldOptions } from "./world.ts";

/** Permissions, page sizes, accessed and dirty bits (Intel SDM vol. 3, chapter 4). */
const user: WorldOptions = { mode: "long", cpl: 3 };
const supervisor: WorldOptions = { mode: "long" };

const PAGE = 0x600000n;
/** mov al, [0x600000]; mov [0x600000], al; and HLT behind. */
const READ = "8a042500006000 f4";
const WRITE = "88042500006000 f4";
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
