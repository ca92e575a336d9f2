import { apic, wrmsr } from "./x2apic.ts";
import { At, le } from "./world.ts";
import type { Case, Ending, Verdict, World, WorldOptions } from "./world.ts";

/** The local APIC: timer, messages between processors, priorities (Intel SDM vol. 3, chapter 11). */
const long: WorldOptions = { mode: "long" };
const flat: WorldOptions = { mode: "protected" };

const TIMER = 0x832;
const INITIAL = 0x838;
const CURRENT = 0x839;
const DIVIDE = 0x83e;
const COMMAND = 0x830;
const MILLISECOND = 1e6;

/** Timer on vector 40, undivided, with a mode and a count. */
const timer = (mode: number, count: number): string =>
  `${wrmsr(DIVIDE, 11)} ${wrmsr(TIMER, 0x40 | mode)} ${wrmsr(INITIAL, count)}`;

/** Counts in r8 at vector 40, ends the interrupt, returns. */
const counting = (world: World): void => {
  apic(world);
  world.gate(0x40, { offset: At.code + 0x800 });
  world.code(`49ffc0 ${wrmsr(0x80b, 0)} 48cf`, At.code + 0x800);
};
/** sti; hlt; jmp to the hlt. */
const WAIT = "fb f4 ebfd";

const halted = ({ end, vector }: Ending): boolean => end === "halt" && vector === undefined;

/** Lets the second processor wait in HLT with interrupts on. */
const second = (world: World): void => {
  apic(world);
  world.code("fb f4 ebfd", At.code + 0xa00);
  const state = structuredClone(world.state);
  state.rip = BigInt(At.code + 0xa00);
  state.registers[4] = BigInt(At.userStackTop);
  world.machine.setState(1, state);
  world.machine.run(1, 10);
};

const secondGets =
  (vector: number) =>
  (_: Ending, world: World): Verdict => {
    const ending = world.resume(100, 1);
    return ending.vector === vector
      ? undefined
      : `the second processor: ${ending.end} ${String(ending.vector)}`;
  };

/** mov dword [xAPIC page + offset], value. */
const page = (offset: number, value: number): string =>
  `c705${le(0xfee00000 + offset, 4)}${le(value, 4)}`;
const SOFTWARE_ENABLE = page(0xf0, 0x1ff);
const selfIpi = (vector: number): string => page(0x300, 0x44000 | vector);

export const apicCases: readonly Case[] = [
  {
    name: "one-shot timer → HLT first, its interrupt when the time is over, and no other",
    world: long,
    prepare: counting,
    code: `${timer(0, 1000)} ${WAIT}`,
    expect: {
      check: (ending, w) => {
        if (ending.state.registers[8] !== 0n) return "too early";
        w.machine.pass(MILLISECOND);
        const once = w.resume();
        if (once.state.registers[8] !== 1n) return `not once: ${String(once.state.registers[8])}`;
        w.machine.pass(MILLISECOND);
        return w.resume().state.registers[8] === 1n;
      },
    },
  },
  {
    name: "periodic timer → an interrupt each period",
    world: long,
    prepare: counting,
    code: `${timer(0x20000, 100_000)} ${WAIT}`,
    expect: {
      check: (_, w) => {
        for (let i = 1; i <= 3; i++) {
          w.machine.pass(MILLISECOND);
          const { state } = w.resume();
          if (state.registers[8] !== BigInt(i)) return `round ${i}: ${String(state.registers[8])}`;
        }
        return undefined;
      },
    },
  },
  {
    name: "TSC deadline → its interrupt, and the MSR reads 0",
    world: long,
    prepare: counting,
    code: `${wrmsr(TIMER, 0x40040)} 0f31 48c1e220 4809d0 480500ca9a3b 4889c2 48c1ea20 b9e0060000 0f30 ${WAIT}`,
    expect: {
      check: (ending, w) => {
        if (ending.state.registers[8] !== 0n) return "too early";
        w.machine.pass(2000 * MILLISECOND);
        const { state } = w.resume();
        return state.registers[8] === 1n;
      },
    },
  },
  {
    name: "TSC deadline in the past → an interrupt at once",
    world: long,
    prepare: counting,
    code: `${wrmsr(0x10, 0x10000)} ${wrmsr(TIMER, 0x40040)} ${wrmsr(0x6e0, 1)} ${WAIT}`,
    expect: {
      check: (_, w) => {
        w.machine.pass(0);
        return w.resume().state.registers[8] === 1n;
      },
    },
  },
  {
    name: "TSC deadline written in another timer mode → ignored",
    world: long,
    prepare: counting,
    code: `${wrmsr(TIMER, 0x40)} ${wrmsr(0x6e0, 1)} 31c0 0f32 ${WAIT}`,
    expect: {
      registers: { 0: 0n },
      check: (_, w) => {
        w.machine.pass(MILLISECOND);
        return w.resume().state.registers[8] === 0n;
      },
    },
  },
  {
    name: "masked timer → no interrupt",
    world: long,
    prepare: counting,
    code: `${timer(0x10000, 1000)} ${WAIT}`,
    expect: {
      check: (_, w) => {
        w.machine.pass(MILLISECOND);
        return w.resume().state.registers[8] === 0n;
      },
    },
  },
  {
    name: "initial count 0 → the timer stops",
    world: long,
    prepare: counting,
    code: `${timer(0x20000, 100_000)} ${wrmsr(INITIAL, 0)} ${WAIT}`,
    expect: {
      check: (_, w) => {
        w.machine.pass(5 * MILLISECOND);
        return w.resume().state.registers[8] === 0n;
      },
    },
  },
  {
    name: "current count → falls with time",
    world: long,
    prepare: counting,
    code: `${timer(0, 0x10000000)} f4 b9${le(CURRENT, 4)} 0f32 f4`,
    expect: {
      check: (_, w) => {
        w.machine.pass(MILLISECOND);
        // No interrupt ends the HLT: an NMI does, whose handler returns.
        w.gate(2, { offset: At.code + 0x900 });
        w.code("48cf", At.code + 0x900);
        w.machine.nmi(0);
        const { state } = w.resume();
        const count = state.registers[0] as bigint;
        return count > 0n && count < 0x10000000n;
      },
    },
  },
  {
    name: "NMI pin in HLT with IF clear → its handler",
    world: long,
    code: "f4 f4",
    expect: {
      check: (ending, w) => {
        if (!halted(ending)) return "not halted";
        w.machine.nmi(0);
        return w.resume().vector === 2;
      },
    },
  },
  {
    name: "interrupt in HLT with IF clear → waits",
    world: long,
    prepare: apic,
    code: "f4 f4",
    expect: {
      check: (_, w) => {
        w.machine.interrupt(0, 0x50);
        return halted(w.resume());
      },
    },
  },
  {
    name: "interrupt in HLT with IF set → its handler, rip behind HLT",
    world: long,
    prepare: apic,
    code: "fb f4 f4",
    expect: {
      check: (_, w) => {
        w.machine.interrupt(0, 0x50);
        const { vector, frame } = w.resume();
        return vector === 0x50 && frame[0] === BigInt(At.code + 2);
      },
    },
  },
  {
    name: "interrupt while the APIC is disabled by software → lost",
    world: long,
    prepare: (w) => void (w.state.msrs = { 0x1b: 0xfee00d00n }),
    code: "fb f4 f4",
    expect: {
      check: (_, w) => {
        w.machine.interrupt(0, 0x50);
        return halted(w.resume());
      },
    },
  },
  {
    name: "handler's interrupt → in service, not requested",
    world: long,
    prepare: (w) => {
      apic(w);
      w.gate(0x42, { offset: At.code + 0x800 });
      w.code("b912080000 0f32 89c3 b922080000 0f32 f4", At.code + 0x800);
    },
    code: `${wrmsr(0x83f, 0x42)} fb 90 f4`,
    expect: { registers: { 3: 4n, 0: 0n } },
  },
  {
    name: "fixed interrupt to the other processor's ID → its handler",
    world: long,
    prepare: second,
    code: `${wrmsr(COMMAND, (1n << 32n) | 0x44n)} f4`,
    expect: { check: secondGets(0x44) },
  },
  {
    name: "fixed interrupt to a logical x2APIC ID → its handler",
    world: long,
    prepare: second,
    code: `${wrmsr(COMMAND, (2n << 32n) | 0x845n)} f4`,
    expect: { check: secondGets(0x45) },
  },
  {
    name: "interrupt to all but self → the other's handler, not the own",
    world: long,
    prepare: second,
    code: `fb ${wrmsr(COMMAND, 0xc0046n)} 90 f4`,
    expect: { check: secondGets(0x46) },
  },
  {
    name: "NMI to the other processor → its handler",
    world: long,
    prepare: second,
    code: `${wrmsr(COMMAND, (1n << 32n) | 0x4400n)} f4`,
    expect: { check: secondGets(2) },
  },
  {
    name: "interrupt with the shorthand self → the own handler",
    world: long,
    prepare: apic,
    code: `fb ${wrmsr(COMMAND, 0x40047n)} 90 f4`,
    expect: { vector: 0x47 },
  },
  {
    name: "INIT and a startup message to a running processor → real mode at the page it names",
    world: long,
    prepare: (w) => {
      second(w);
      w.code("8cc8 a30006 c706020677 00 f4", 0x9000);
    },
    code: `${wrmsr(COMMAND, (1n << 32n) | 0x4500n)} ${wrmsr(COMMAND, (1n << 32n) | 0x4609n)} ${wrmsr(COMMAND, (1n << 32n) | 0x4609n)} f4`,
    expect: {
      check: (_, w) => {
        const end = w.machine.run(1, 100);
        const state = w.machine.getState(1);
        return end === "halt" && w.readU32(0x600) === 0x770900 && state.cr0 === 0x10
          ? undefined
          : `${end} ${w.readU32(0x600).toString(16)} ${state.cr0.toString(16)}`;
      },
    },
  },
  {
    name: "INIT without a startup message → the processor waits",
    world: long,
    prepare: second,
    code: `${wrmsr(COMMAND, (1n << 32n) | 0x4500n)} f4`,
    expect: { check: (_, w) => w.machine.run(1, 100) === "wait" },
  },
  {
    name: "two processors count one word with LOCK INC, taking turns → no count lost",
    world: long,
    prepare: (w) => {
      const state = structuredClone(w.state);
      state.registers[4] = BigInt(At.userStackTop);
      w.machine.setState(1, state);
    },
    code: `b9e8030000 f0ff0425${le(At.data, 4)} ffc9 75f4 f4`,
    expect: {
      check: (_, w) => {
        while (w.machine.run(1, 7) !== "halt");
        return w.readU32(At.data) === 2000 ? undefined : w.readU32(At.data);
      },
    },
  },
  {
    name: "xAPIC by memory: enabled, interrupt to self → its handler",
    world: flat,
    code: `c705f000e0feff010000 c7050003e0fe40000400 fb 90 90 f4`,
    expect: { vector: 0x40 },
  },
  {
    name: "xAPIC by memory: ID and version → 0 and an integrated APIC",
    world: flat,
    code: "a12000e0fe 8b1d3000e0fe f4",
    expect: {
      registers: { 0: 0n },
      check: ({ state }) => ((state.registers[3] as bigint) & 0xf0n) === 0x10n,
    },
  },
  {
    name: "xAPIC by memory: task priority → CR8 of 64-bit code",
    world: flat,
    code: "c7058000e0fe50000000 a18000e0fe f4",
    expect: { registers: { 0: 0x50n }, check: ({ state }) => state.cr8 === 5 },
  },
  {
    name: "xAPIC page: self-IPI under IF → taken behind the write",
    world: flat,
    prepare: (w) => void (w.state.rflags = 0x202),
    code: `${SOFTWARE_ENABLE} ${selfIpi(0x31)} 90 90 f4`,
    expect: { vector: 0x31, at: 20 },
  },
  {
    name: "xAPIC page: self-IPI, then STI → taken behind the next instruction",
    world: flat,
    code: `${SOFTWARE_ENABLE} ${selfIpi(0x31)} fb 90 90 f4`,
    expect: { vector: 0x31, at: 22 },
  },
  {
    name: "xAPIC page: task priority lowered → the interrupt that waited, behind the write",
    world: flat,
    prepare: (w) => void (w.state.rflags = 0x202),
    code: `${SOFTWARE_ENABLE} ${page(0x80, 0x40)} ${selfIpi(0x31)} 90 ${page(0x80, 0x20)} 90 f4`,
    expect: { vector: 0x31, at: 41 },
  },
  {
    name: "xAPIC page: end of interrupt → the one of the same priority, behind the write",
    world: flat,
    prepare(w) {
      w.gate(0x34, { offset: At.code + 0x800 });
      w.code(`${selfIpi(0x31)} fb 90 ${page(0xb0, 0)} 90 f4`, At.code + 0x800);
      w.state.rflags = 0x202;
    },
    code: `${SOFTWARE_ENABLE} ${selfIpi(0x34)} f4`,
    expect: { vector: 0x31, at: 0x816 },
  },
  {
    name: "xAPIC page: task priority lowered by a string instruction → taken between its rounds",
    world: flat,
    prepare(w) {
      w.state.rflags = 0x202;
      w.u32(At.data, 0x20);
      w.state.registers[6] = BigInt(At.data);
      w.state.registers[7] = 0xfee00080n;
      w.state.registers[1] = 2n;
    },
    code: `${SOFTWARE_ENABLE} ${page(0x80, 0x40)} ${selfIpi(0x31)} f3a5 f4`,
    expect: { vector: 0x31, at: 30, registers: { 1: 1n } },
  },
];
