import { le } from "./world.ts";
import type { Case, WorldOptions } from "./world.ts";

const flat: WorldOptions = { mode: "protected" };

/** Frame for IRET, pushed by a program of its own: pushes immediates. */
const pushes = (...values: readonly number[]): string =>
  values.map((value) => `68${le(value, 4)}`).join("");

export const virtual8086Cases: readonly Case[] = [
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
];
