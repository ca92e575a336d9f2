import { wrmsr } from "./x2apic.ts";

import type { Case, WorldOptions } from "./world.ts";

/** Model-specific registers and the time-stamp counter (Intel SDM vol. 4). */
const long: WorldOptions = { mode: "long" };

const refusedMsr = (what: string, index: number, value: bigint): Case => ({
  name: `WRMSR of ${what} → #GP 0 at it`,
  world: long,
  code: `${wrmsr(index, value)} f4`,
  expect: { vector: 13, error: 0, at: 15 },
});

const takenMsr = (what: string, index: number, value: bigint): Case => ({
  name: `WRMSR and RDMSR of ${what} → the value`,
  world: long,
  code: `${wrmsr(index, value)} 31c0 31d2 0f32 f4`,
  expect: { registers: { 0: value & 0xffffffffn, 2: value >> 32n } },
});

export const msrCases: readonly Case[] = [
  {
    name: "RDMSR of one that does not exist → #GP 0",
    world: long,
    code: "b945230000 0f32",
    expect: { vector: 13, error: 0, at: 5 },
  },
  refusedMsr("one that does not exist", 0x2345, 0n),
  refusedMsr("EFER with a reserved bit", 0xc0000080, 0x8000n),
  refusedMsr("EFER.LME cleared while paging", 0xc0000080, 0x401n),
  refusedMsr("LSTAR with an address that is not canonical", 0xc0000082, 1n << 47n),
  refusedMsr("SYSENTER_EIP with an address that is not canonical", 0x176, 1n << 47n),
  refusedMsr("FS base with an address that is not canonical", 0xc0000100, 1n << 47n),
  refusedMsr("KERNEL_GS_BASE with an address that is not canonical", 0xc0000102, 1n << 47n),
  refusedMsr("PAT with a reserved type", 0x277, 2n),
  refusedMsr("SPEC_CTRL with a bit that is not offered", 0x48, 8n),
  takenMsr("SPEC_CTRL with all that is offered, BHI_DIS_S too", 0x48, 0x407n),
  {
    name: "CPUID 7.2 → BHI_CTRL; ARCH_CAPABILITIES → ITS_NO",
    world: long,
    code: "b807000000 b902000000 0fa2 89d3 b90a010000 0f32 f4",
    expect: {
      registers: { 3: 0x10n },
      check: ({ state }) => ((state.registers[2] as bigint) & (1n << 30n)) !== 0n,
    },
  },
  refusedMsr("SYSCALL_MASK with high bits", 0xc0000084, 1n << 32n),
  refusedMsr("TSC_AUX with high bits", 0xc0000103, 1n << 32n),
  refusedMsr("APIC_BASE with a reserved bit", 0x1b, 0xfee00901n),
  refusedMsr("APIC_BASE from disabled to x2APIC at once", 0x1b, 0xfee00500n),
  refusedMsr("an x2APIC register in xAPIC mode", 0x80b, 0n),
  takenMsr("LSTAR", 0xc0000082, 0xffffffff81000000n),
  takenMsr("STAR", 0xc0000081, 0x0023001000000000n),
  takenMsr("KERNEL_GS_BASE", 0xc0000102, 0xffff888000000000n),
  takenMsr("PAT", 0x277, 0x0007050600070106n),
  takenMsr("TSC_AUX", 0xc0000103, 0x12345678n),
  {
    name: "x2APIC: write to a read-only register → #GP 0",
    world: long,
    prepare: (w) => void (w.state.msrs = { 0x1b: 0xfee00d00n }),
    code: wrmsr(0x803, 0),
    expect: { vector: 13, error: 0 },
  },
  {
    name: "x2APIC: EOI other than 0 → #GP 0",
    world: long,
    prepare: (w) => void (w.state.msrs = { 0x1b: 0xfee00d00n }),
    code: wrmsr(0x80b, 1),
    expect: { vector: 13, error: 0 },
  },
  {
    name: "x2APIC: register that does not exist → #GP 0",
    world: long,
    prepare: (w) => void (w.state.msrs = { 0x1b: 0xfee00d00n }),
    code: "b940080000 0f32",
    expect: { vector: 13, error: 0 },
  },
  {
    name: "x2APIC: back to xAPIC without disabling → #GP 0",
    world: long,
    prepare: (w) => void (w.state.msrs = { 0x1b: 0xfee00d00n }),
    code: wrmsr(0x1b, 0xfee00900),
    expect: { vector: 13, error: 0 },
  },
  {
    name: "IA32_TSC written, RDTSC → goes on from there",
    world: long,
    code: `${wrmsr(0x10, 0x5500000000n)} 0f31 f4`,
    expect: { check: ({ state }) => state.registers[2] === 0x55n },
  },
  {
    name: "RDTSCP → TSC_AUX in ECX",
    world: long,
    code: `${wrmsr(0xc0000103, 7)} 31c9 0f01f9 f4`,
    expect: { registers: { 1: 7n } },
  },
  {
    name: "RDPID → TSC_AUX",
    world: long,
    code: `${wrmsr(0xc0000103, 7)} f30fc7f8 f4`,
    expect: { registers: { 0: 7n } },
  },
];
