import { A, At, D, G, LARGE, P, W, le } from "./world.ts";
import type { Case, World, WorldOptions } from "./world.ts";

/** Cached translations and what drops them, PCIDs (Intel SDM vol. 3, 4.10). */
const user: WorldOptions = { mode: "long", cpl: 3 };
const supervisor: WorldOptions = { mode: "long" };

const PAGE = 0x600000n;

const cr4 = (bits: number) => (world: World) => void (world.state.cr4 |= bits);
const both =
  (...steps: ((world: World) => void)[]) =>
  (world: World): void =>
    steps.forEach((step) => step(world));

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

export const translationCases: readonly Case[] = [
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
];
