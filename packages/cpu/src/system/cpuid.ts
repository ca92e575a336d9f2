import type { Core } from "../core.ts";
import type { Helpers } from "../execute/helper.ts";
import { PHYSICAL_BITS } from "../paging/page-walk.ts";
import { Register, State } from "../state/layout.ts";
import { Cr4 } from "./control-registers.ts";

/** eax, ebx, ecx, edx. */
export type CpuidLeaf = readonly [number, number, number, number];

/** Names of feature bits; a bit that is not here is not offered (Intel SDM vol. 2, CPUID). */
const bitsOf = (bits: Readonly<Record<string, number>>): number =>
  Object.values(bits).reduce((all, bit) => (all | (1 << bit)) >>> 0, 0);

const LEAF1_EDX = bitsOf({
  fpu: 0,
  de: 2,
  pse: 3,
  tsc: 4,
  msr: 5,
  pae: 6,
  // Machine checks with no error banks: kernels complain where there is no such architecture at all.
  mce: 7,
  cx8: 8,
  apic: 9,
  sep: 11,
  mtrr: 12,
  pge: 13,
  mca: 14,
  cmov: 15,
  pat: 16,
  pse36: 17,
  clflush: 19,
  mmx: 23,
  fxsr: 24,
  sse: 25,
  sse2: 26,
  selfSnoop: 27,
});

const LEAF1_ECX = bitsOf({
  sse3: 0,
  ssse3: 9,
  cx16: 13,
  pcid: 17,
  sse41: 19,
  sse42: 20,
  x2apic: 21,
  popcnt: 23,
  tscDeadline: 24,
  xsave: 26,
  rdrand: 30,
  hypervisor: 31,
});
const OSXSAVE = 1 << 27;

const LEAF7_EBX = bitsOf({
  fsgsbase: 0,
  tscAdjust: 1,
  smep: 7,
  erms: 9,
  invpcid: 10,
  rdseed: 18,
  smap: 20,
  clflushopt: 23,
  clwb: 24,
});
const LEAF7_ECX = bitsOf({ umip: 2, rdpid: 22 });
// With it Linux has a bit of SPEC_CTRL set for good, where it else runs a loop at each entry to clear branch history.
const LEAF7_2_EDX = bitsOf({ bhiCtrl: 4 });
// SERIALIZE: without it Linux does an IRET to itself for each of the 100,000 places that it patches while it boots.
const LEAF7_EDX = bitsOf({
  fsrm: 4,
  serialize: 14,
  specCtrl: 26,
  stibp: 27,
  archCapabilities: 29,
  ssbd: 31,
});

const EXTENDED1_EDX = bitsOf({ syscall: 11, nx: 20, pages1g: 26, rdtscp: 27, lm: 29 });
const EXTENDED1_ECX = bitsOf({ lahf: 0, prefetchw: 8 });

/** Family 6, model 0x3a, stepping 9. */
const SIGNATURE = 0x000306a9;

const text = (ascii: string, at: number): number => {
  let value = 0;
  for (let i = 3; i >= 0; i--) value = (value << 8) | (ascii.charCodeAt(at + i) || 0);
  return value >>> 0;
};

/** The answer of CPUID for a leaf and subleaf; leaves beyond the highest answer as the highest basic one does. */
export function cpuidLeaf(cpu: Core, leaf: number, subleaf: number): CpuidLeaf {
  const { features, id } = cpu;
  const kvm = leaf >= 0x40000000 && leaf <= 0x400000ff;
  if (kvm && features.kvmClock) return paravirtualLeaf(cpu, leaf);
  const { processors, tscKhz } = features;
  const vendor = "GenuineIntel";
  switch (leaf >>> 0) {
    case 0:
      return [0x16, text(vendor, 0), text(vendor, 8), text(vendor, 4)];
    case 1: {
      const osxsave = (cpu.u32(State.Cr4) & Cr4.Osxsave) !== 0 ? OSXSAVE : 0;
      const ebx = ((id << 24) | (Math.min(processors, 255) << 16) | (8 << 8)) >>> 0;
      const apic = (cpu.msr.apicBase & 0x800n) !== 0n ? 0 : 1 << 9;
      const htt = processors > 1 ? 1 << 28 : 0;
      return [SIGNATURE, ebx, (LEAF1_ECX | osxsave) >>> 0, ((LEAF1_EDX | htt) & ~apic) >>> 0];
    }
    case 2:
      return [0x00ff_ff01 & 0xff, 0, 0, 0];
    case 4:
      return cacheLeaf(subleaf, processors);
    case 6:
      return [4, 0, 0, 0]; // ARAT: the APIC timer always runs
    case 7:
      if (subleaf === 0) return [2, LEAF7_EBX, LEAF7_ECX, LEAF7_EDX];
      return [0, 0, 0, subleaf === 2 ? LEAF7_2_EDX : 0];
    case 0xb:
      return topologyLeaf(subleaf, processors, id);
    case 0xd:
      return xsaveLeaf(cpu, subleaf);
    case 0x15:
      return [1, Math.round((tscKhz * 1000) / features.apicHz), features.apicHz, 0];
    case 0x16: {
      const mhz = Math.round(tscKhz / 1000);
      return [mhz, mhz, 100, 0];
    }
    case 0x80000000:
      return [0x80000008, 0, 0, 0];
    case 0x80000001:
      return [0, 0, EXTENDED1_ECX, EXTENDED1_EDX];
    case 0x80000002:
    case 0x80000003:
    case 0x80000004: {
      const at = ((leaf >>> 0) - 0x80000002) * 16;
      const brand = features.brand.slice(0, 47);
      return [text(brand, at), text(brand, at + 4), text(brand, at + 8), text(brand, at + 12)];
    }
    case 0x80000006:
      return [0, 0, 0x01006040, 0];
    case 0x80000007:
      return [0, 0, 0, 1 << 8]; // invariant TSC
    case 0x80000008:
      return [PHYSICAL_BITS | (48 << 8), 0, 0, 0];
    default:
      return [0, 0, 0, 0];
  }
}

/** Deterministic cache parameters: 32 KiB of each level 1, 256 KiB of level 2. */
function cacheLeaf(subleaf: number, processors: number): CpuidLeaf {
  const cores = Math.min(63, processors - 1) << 26;
  const caches: readonly (readonly [type: number, level: number, ways: number, sets: number])[] = [
    [1, 1, 8, 64],
    [2, 1, 8, 64],
    [3, 2, 8, 512],
  ];
  const cache = caches[subleaf];
  if (cache === undefined) return [0, 0, 0, 0];
  const [type, level, ways, sets] = cache;
  const eax = (type | (level << 5) | (1 << 8) | cores) >>> 0;
  return [eax, ((ways - 1) << 22) | 63, sets - 1, 0];
}

/** One thread a core, all cores in one package. */
function topologyLeaf(subleaf: number, processors: number, id: number): CpuidLeaf {
  if (subleaf === 0) return [0, 1, 0x100, id];
  const bits = Math.ceil(Math.log2(Math.max(1, processors)));
  return subleaf === 1 ? [bits, processors, 0x201, id] : [0, 0, subleaf & 0xff, id];
}

/** x87 and SSE state: the 512-byte legacy area and the 64-byte header. */
function xsaveLeaf(cpu: Core, subleaf: number): CpuidLeaf {
  if (subleaf === 0) return [3, 576, 576, 0];
  return subleaf === 1 ? [1, 0, 0, 0] : [0, 0, 0, 0]; // XSAVEOPT
}

function paravirtualLeaf(cpu: Core, leaf: number): CpuidLeaf {
  const signature = "KVMKVMKVM\0\0\0";
  if (leaf === 0x40000000) {
    return [0x40000010, text(signature, 0), text(signature, 4), text(signature, 8)];
  }
  // kvmclock with the new MSRs, and stable between processors.
  if (leaf === 0x40000001) return [((1 << 3) | (1 << 24)) >>> 0, 0, 0, 0];
  if (leaf === 0x40000010)
    return [cpu.features.tscKhz, Math.round(cpu.features.apicHz / 1000), 0, 0];
  return [0, 0, 0, 0];
}

/** CPUID. */
export const cpuidHelpers: Helpers = {
  cpuid(cpu) {
    const { registers } = cpu;
    const leaf = Number((registers[Register.Rax] as bigint) & 0xffffffffn);
    const subleaf = Number((registers[Register.Rcx] as bigint) & 0xffffffffn);
    const [eax, ebx, ecx, edx] = cpuidLeaf(cpu, leaf, subleaf);
    registers[Register.Rax] = BigInt(eax);
    registers[Register.Rbx] = BigInt(ebx);
    registers[Register.Rcx] = BigInt(ecx);
    registers[Register.Rdx] = BigInt(edx);
  },
};
