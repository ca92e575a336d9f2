import { At, le } from "./world.ts";
import { apic, selfIpi, wrmsr } from "./x2apic.ts";
import type { Case, WorldOptions } from "./world.ts";

/** When pending interrupts come in, and what holds them back (Intel SDM vol. 3, 6.8). */
const long: WorldOptions = { mode: "long" };

const WRMSR_BYTES = 17;

export const interruptWindowCases: readonly Case[] = [
  {
    name: "interrupt pending at STI → taken one instruction later",
    world: long,
    prepare: apic,
    code: `${selfIpi(0x40)} fb 90 90 f4`,
    expect: { vector: 0x40, at: WRMSR_BYTES + 2 },
  },
  {
    name: "interrupt pending, STI and CLI → not taken",
    world: long,
    prepare: apic,
    code: `${selfIpi(0x40)} fb fa 90 f4`,
    expect: { at: WRMSR_BYTES + 4 },
  },
  {
    name: "interrupt pending, IF set already: STI → no shadow",
    world: long,
    prepare: apic,
    code: `fb 90 ${selfIpi(0x40)} 90 f4`,
    expect: { vector: 0x40, at: WRMSR_BYTES + 2 },
  },
  {
    name: "interrupt pending at POPF that sets IF → taken at once",
    world: long,
    prepare: apic,
    code: `${selfIpi(0x40)} 6802020000 9d 90 f4`,
    expect: { vector: 0x40, at: WRMSR_BYTES + 6 },
  },
  {
    name: "interrupt pending at IRETQ that sets IF → taken at once",
    world: long,
    prepare: apic,
    code: `${selfIpi(0x40)} 6810000000 6800600000 6802020000 6808000000 68${le(At.code + WRMSR_BYTES + 0x1b, 4)} 48cf 90 f4`,
    expect: { vector: 0x40, at: WRMSR_BYTES + 0x1b },
  },
  {
    name: "interrupt pending at MOV SS under IF → taken one instruction later",
    world: long,
    prepare: (w) => {
      apic(w);
    },
    code: `${selfIpi(0x40)} 66b81000 fb 8ed0 90 90 f4`,
    expect: {
      vector: 0x40,
      check: ({ frame }) =>
        [WRMSR_BYTES + 7, WRMSR_BYTES + 8].includes(Number((frame[0] as bigint) & 0xfffn)),
    },
  },
  {
    name: "interrupt pending at STI before HLT → taken out of HLT",
    world: long,
    prepare: apic,
    code: `${selfIpi(0x40)} fb f4`,
    expect: { vector: 0x40, at: WRMSR_BYTES + 2 },
  },
  {
    name: "two interrupts pending → the higher vector first",
    world: long,
    prepare: apic,
    code: `${selfIpi(0x40)} ${selfIpi(0x55)} fb 90`,
    expect: { vector: 0x55 },
  },
  {
    name: "interrupt of a priority not above CR8 → waits",
    world: long,
    prepare: apic,
    code: `b804000000 440f22c0 ${selfIpi(0x4f)} fb 90 90 f4`,
    expect: { at: WRMSR_BYTES + 13 },
  },
  {
    name: "CR8 lowered → the interrupt that waited",
    world: long,
    prepare: apic,
    code: `b804000000 440f22c0 ${selfIpi(0x4f)} fb 90 31c0 440f22c0 90 f4`,
    expect: { vector: 0x4f, at: WRMSR_BYTES + 17 },
  },
  {
    name: "interrupt in service → one of the same priority waits for its end",
    world: long,
    prepare: (w) => {
      apic(w);
      // The first handler lets interrupts in and sends the second, of the same priority.
      w.gate(0x42, { offset: At.code + 0x100 });
      w.code(`fb ${selfIpi(0x41)} 90 f4`, At.code + 0x100);
    },
    code: `fb ${selfIpi(0x42)} 90 f4`,
    expect: { at: 0x100 + WRMSR_BYTES + 3 },
  },
  {
    name: "end of interrupt → the one that waited",
    world: long,
    prepare: (w) => {
      apic(w);
      w.gate(0x42, { offset: At.code + 0x100 });
      w.code(`fb ${selfIpi(0x41)} ${wrmsr(0x80b, 0)} 90 f4`, At.code + 0x100);
    },
    code: `fb ${selfIpi(0x42)} 90 f4`,
    expect: { vector: 0x41 },
  },
  {
    name: "NMI in an NMI's handler → waits for IRET, then taken",
    world: long,
    prepare: (w) => {
      apic(w);
      // inc eax; mov rbx, rsp; the first one sends itself another; iretq.
      w.gate(2, { offset: At.code + 0x100 });
      w.code(`41ffc0 4889e3 4183f801 7511 ${wrmsr(0x830, 0x44400)} 48cf`, At.code + 0x100);
    },
    code: `${wrmsr(0x830, 0x44400)} 90 f4`,
    expect: {
      registers: { 8: 2n },
      check: ({ state }) => state.registers[3] === BigInt(At.stackTop - 40),
    },
  },
  {
    name: "NMI with IF clear → taken",
    world: long,
    prepare: apic,
    code: `${wrmsr(0x830, 0x44400)} 90 f4`,
    expect: { vector: 2, at: WRMSR_BYTES },
  },
];
