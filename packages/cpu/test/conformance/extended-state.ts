import { At, le } from "./world.ts";
import type { Case, Verdict, World, WorldOptions } from "./world.ts";

/** FXSAVE and XSAVE, and the floating-point exceptions (Intel SDM vol. 1, chapter 13; vol. 3, chapter 6). */
const long: WorldOptions = { mode: "long" };
const flat: WorldOptions = { mode: "protected" };

const AREA = At.data + 0x400;
const OUT = At.data + 0x100;
const VALUE = 0x1122334455667788n;

const at = (address: number): string => le(address, 4);
/** movq xmm0, [data]; movq [OUT], xmm0. */
const LOAD = `f30f7e0425${at(At.data)}`;
const STORE = `660fd60425${at(OUT)}`;
const CLEAR = "660fefc0";
/** xsetbv of 3; then EDX:EAX is the mask. */
const ENABLE = "31c9 31d2 b803000000 0f01d1";
const mask = (bits: number): string => `b8${le(bits, 4)} 31d2`;

const world = (w: World): void => {
  w.u64(At.data, VALUE);
  w.machine.write(AREA, new Uint8Array(1024));
  w.state.cr4 |= 0x40000;
};
const xmmBack = (_: unknown, w: World): Verdict => {
  const found = w.readU64(OUT);
  return found === VALUE ? undefined : found.toString(16);
};

const save = (modrm: string, rex = ""): string => `${rex}0fae${modrm}25${at(AREA)}`;
const FXSAVE = save("04");
const FXRSTOR = save("0c");
const XSAVE = save("24");
const XRSTOR = save("2c");
const XSAVEOPT = save("34");

export const extendedStateCases: readonly Case[] = [
  {
    name: "FXSAVE, FXRSTOR → the register as it was",
    world: long,
    prepare: world,
    code: `${LOAD} ${FXSAVE} ${CLEAR} ${FXRSTOR} ${STORE} f4`,
    expect: { check: xmmBack },
  },
  {
    name: "FXSAVE64, FXRSTOR64 → the register as it was",
    world: long,
    prepare: world,
    code: `${LOAD} ${save("04", "48")} ${CLEAR} ${save("0c", "48")} ${STORE} f4`,
    expect: { check: xmmBack },
  },
  {
    name: "FXSAVE → MXCSR, its mask, and the control word",
    world: long,
    prepare: world,
    code: `dbe3 ${FXSAVE} f4`,
    expect: {
      check: (_, w) =>
        (w.readU32(AREA) & 0xffff) === 0x37f &&
        w.readU32(AREA + 24) === 0x1f80 &&
        w.readU32(AREA + 28) === 0xffff,
    },
  },
  {
    name: "FXSAVE off 16 bytes → #GP 0",
    world: long,
    prepare: world,
    code: `0fae0425${at(AREA + 8)}`,
    expect: { vector: 13, error: 0, at: 0 },
  },
  {
    name: "FXRSTOR of a reserved MXCSR bit → #GP 0",
    world: long,
    prepare: (w) => {
      world(w);
      w.u32(AREA + 24, 0x10000);
    },
    code: FXRSTOR,
    expect: { vector: 13, error: 0 },
  },
  {
    name: "LDMXCSR of a reserved bit → #GP 0",
    world: long,
    prepare: (w) => w.u32(At.data, 0x10000),
    code: `0fae1425${at(At.data)}`,
    expect: { vector: 13, error: 0 },
  },
  {
    name: "FXSAVE with CR0.TS → #NM",
    world: long,
    prepare: (w) => void (w.state.cr0 |= 8),
    code: FXSAVE,
    expect: { vector: 7 },
  },
  {
    name: "XSAVE of x87 and SSE → both marked in the header, XMM0 in the area",
    world: long,
    prepare: world,
    code: `${ENABLE} dbe3 d9e8 ${LOAD} ${mask(3)} ${XSAVE} f4`,
    expect: {
      check: (_, w) => (w.readU64(AREA + 512) & 3n) === 3n && w.readU64(AREA + 160) === VALUE,
    },
  },
  {
    name: "XSAVE of SSE alone → the x87 part of the area stays",
    world: long,
    prepare: (w) => {
      world(w);
      w.u32(AREA, 0x5555);
    },
    code: `${ENABLE} ${LOAD} ${mask(2)} ${XSAVE} f4`,
    expect: { check: (_, w) => w.readU32(AREA) === 0x5555 && w.readU64(AREA + 160) === VALUE },
  },
  {
    name: "XSAVE, XRSTOR → the register as it was",
    world: long,
    prepare: world,
    code: `${ENABLE} ${LOAD} ${mask(3)} ${XSAVE} ${CLEAR} ${XRSTOR} ${STORE} f4`,
    expect: { check: xmmBack },
  },
  {
    name: "XSAVE64, XRSTOR64 → the register as it was",
    world: long,
    prepare: world,
    code: `${ENABLE} ${LOAD} ${mask(3)} ${save("24", "48")} ${CLEAR} ${save("2c", "48")} ${STORE} f4`,
    expect: { check: xmmBack },
  },
  {
    name: "XSAVEOPT, XRSTOR → the register as it was",
    world: long,
    prepare: world,
    code: `${ENABLE} ${LOAD} ${mask(3)} ${XSAVEOPT} ${CLEAR} ${XRSTOR} ${STORE} f4`,
    expect: { check: xmmBack },
  },
  {
    name: "XRSTOR of a component that the header does not mark → its initial state",
    world: long,
    prepare: world,
    code: `${ENABLE} ${LOAD} ${mask(2)} ${XRSTOR} ${STORE} f4`,
    expect: { check: (_, w) => w.readU64(OUT) === 0n },
  },
  {
    name: "XRSTOR without SSE in the mask → the register stays",
    world: long,
    prepare: world,
    code: `${ENABLE} ${LOAD} ${mask(1)} ${XRSTOR} ${STORE} f4`,
    expect: { check: xmmBack },
  },
  {
    name: "XRSTOR of a header with a component that XCR0 lacks → #GP 0",
    world: long,
    prepare: (w) => {
      world(w);
      w.u64(AREA + 512, 4n);
    },
    code: `${ENABLE} ${mask(3)} ${XRSTOR} f4`,
    expect: { vector: 13, error: 0 },
  },
  {
    name: "XRSTOR of a header whose reserved bytes are not zero → #GP 0",
    world: long,
    prepare: (w) => {
      world(w);
      w.u64(AREA + 528, 1n);
    },
    code: `${ENABLE} ${mask(3)} ${XRSTOR} f4`,
    expect: { vector: 13, error: 0 },
  },
  {
    name: "XSAVE off 64 bytes → #GP 0",
    world: long,
    prepare: world,
    code: `${ENABLE} ${mask(3)} 0fae2425${at(AREA + 16)} f4`,
    expect: { vector: 13, error: 0 },
  },
  { name: "XSAVE without CR4.OSXSAVE → #UD", world: long, code: XSAVE, expect: { vector: 6 } },
  {
    name: "XSAVE with CR0.TS → #NM",
    world: long,
    prepare: (w) => {
      world(w);
      w.state.cr0 |= 8;
    },
    code: XSAVE,
    expect: { vector: 7 },
  },
  {
    name: "unmasked SSE exception with CR4.OSXMMEXCPT → #XM at it",
    world: long,
    prepare: (w) => w.u32(At.data, 0x1d80),
    code: `0fae1425${at(At.data)} 0f57c9 b801000000 f30f2ac0 f30f5ec1 f4`,
    expect: { vector: 19, at: 0x14 },
  },
  {
    name: "unmasked SSE exception without CR4.OSXMMEXCPT → #UD",
    world: long,
    prepare: (w) => {
      w.u32(At.data, 0x1d80);
      w.state.cr4 &= ~0x400;
    },
    code: `0fae1425${at(At.data)} 0f57c9 b801000000 f30f2ac0 f30f5ec1 f4`,
    expect: { vector: 6, at: 0x14 },
  },
  {
    name: "unmasked x87 exception → #MF at the next x87 instruction, FNSTSW before it allowed",
    world: long,
    prepare: (w) => w.u32(At.data, 0x37b),
    code: `dbe3 d92c25${at(At.data)} d9e8 d9ee def9 dfe0 d9e8 f4`,
    expect: { vector: 16, at: 0x11 },
  },
  {
    name: "unmasked x87 exception, then FWAIT → #MF at it",
    world: long,
    prepare: (w) => w.u32(At.data, 0x37b),
    code: `dbe3 d92c25${at(At.data)} d9e8 d9ee def9 9b f4`,
    expect: { vector: 16, at: 0xf },
  },
  {
    name: "SLDT, SIDT at CPL 0 → selector, limit and base",
    world: long,
    prepare: (w) => void (w.state.segments.ldtr.selector = 0x50),
    code: `0f00c0 0f010c25${at(At.data)} f4`,
    expect: {
      registers: { 0: 0x50n },
      check: (_, w) =>
        w.readU64(At.data + 2) === BigInt(At.idt) && (w.readU32(At.data) & 0xffff) === 0xfff,
    },
  },
  {
    name: "SLDT to memory → a word",
    world: long,
    prepare: (w) => {
      w.state.segments.ldtr.selector = 0x50;
      w.u32(At.data, 0x11111111);
    },
    code: `480f000425${at(At.data)} f4`,
    expect: { check: (_, w) => w.readU32(At.data) === 0x11110050 },
  },
  {
    name: "RDPID in 32-bit code → TSC_AUX",
    world: flat,
    code: "b9030100c0 b807000000 31d2 0f30 f30fc7fb f4",
    expect: { registers: { 3: 7n } },
  },
];
