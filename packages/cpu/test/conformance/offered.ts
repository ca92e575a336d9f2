import { wrmsr } from "./x2apic.ts";
import { At, le } from "./world.ts";
import type { Case, WorldOptions } from "./world.ts";

/** What CPUID promises, and nothing else (Intel SDM vol. 2, CPUID). */
const long: WorldOptions = { mode: "long" };

/** cpuid(leaf, subleaf); test one bit of a register; hlt if it is not promised; else the instruction and hlt. */
const promised = (
  what: string,
  leaf: number,
  register: "eax" | "ebx" | "ecx" | "edx",
  bit: number,
  code: string,
): Case => {
  const number = { eax: 0, ebx: 3, ecx: 1, edx: 2 }[register];
  // bt r32, imm8; jc +1; hlt
  const program = `b8${le(leaf, 4)} 31c9 0fa2 0fba${le(0xe0 | number, 1)}${le(bit, 1)} 7201 f4 ${code} 4d31ff 49ffc7 f4`;
  return {
    name: `CPUID promises ${what} → it works`,
    world: long,
    prepare: (w) => {
      w.state.cr4 |= 0x50000;
      w.state.registers[6] = BigInt(At.data);
      w.state.registers[7] = BigInt(At.data + 0x100);
    },
    code: program,
    expect: {
      check: ({ state }) =>
        state.registers[15] === 1n ? undefined : "not promised, or not executed",
    },
  };
};

const absent = (what: string, code: string): Case => ({
  name: `${what}, which CPUID does not promise → #UD`,
  world: long,
  code,
  expect: { vector: 6, at: 0 },
});

export const offeredCases: readonly Case[] = [
  promised("CMPXCHG8B", 1, "edx", 8, "0fc70e"),
  promised("CMOV", 1, "edx", 15, "0f44c1"),
  promised("CLFLUSH", 1, "edx", 19, "0fae3e"),
  promised("SYSENTER's MSRs", 1, "edx", 11, "b974010000 0f32"),
  promised("MTRRs", 1, "edx", 12, "b9fe000000 0f32"),
  promised("PAT", 1, "edx", 16, "b977020000 0f32"),
  promised("MMX", 1, "edx", 23, "0fefc0 0f77"),
  promised("FXSAVE", 1, "edx", 24, "0fae06"),
  promised("SSE", 1, "edx", 25, "0f57c0"),
  promised("SSE2", 1, "edx", 26, "660fefc0"),
  promised("SSE3", 1, "ecx", 0, "660f7cc0"),
  promised("SSSE3", 1, "ecx", 9, "660f3800c0"),
  promised("CMPXCHG16B", 1, "ecx", 13, "480fc70e"),
  promised("PCID", 1, "ecx", 17, "0f20e0 0d00000200 0f22e0"),
  promised("SSE4.1", 1, "ecx", 19, "660f3810c0"),
  promised("SSE4.2", 1, "ecx", 20, "f20f38f1c0"),
  promised("x2APIC", 1, "ecx", 21, `${wrmsr(0x1b, 0xfee00d00)} b902080000 0f32`),
  promised("POPCNT", 1, "ecx", 23, "f30fb8c0"),
  promised("the TSC deadline", 1, "ecx", 24, "b9e0060000 0f32"),
  promised("XSAVE", 1, "ecx", 26, "31c9 0f01d0"),
  promised("RDRAND", 1, "ecx", 30, "0fc7f0"),
  promised("FSGSBASE", 7, "ebx", 0, "f30faec0"),
  promised("TSC_ADJUST", 7, "ebx", 1, "b93b000000 0f32"),
  promised("SMEP", 7, "ebx", 7, "0f20e0 0d00001000 0f22e0"),
  promised("ERMS", 7, "ebx", 9, "b901000000 f3a4"),
  promised("INVPCID", 7, "ebx", 10, "b802000000 660f38820425 00000200"),
  promised("RDSEED", 7, "ebx", 18, "0fc7f8"),
  promised("SMAP", 7, "ebx", 20, "0f20e0 0d00002000 0f22e0 0f01cb"),
  promised("CLFLUSHOPT", 7, "ebx", 23, "660fae3e"),
  promised("CLWB", 7, "ebx", 24, "660fae36"),
  promised("UMIP", 7, "ecx", 2, "0f20e0 0d00080000 0f22e0"),
  promised("RDPID", 7, "ecx", 22, "f30fc7f8"),
  promised("SERIALIZE", 7, "edx", 14, "0f01e8"),
  promised("SPEC_CTRL", 7, "edx", 26, "b948000000 0f32"),
  promised("ARCH_CAPABILITIES", 7, "edx", 29, "b90a010000 0f32"),
  promised("SYSCALL", 0x80000001, "edx", 11, "b9810000c0 0f32"),
  promised("RDTSCP", 0x80000001, "edx", 27, "0f01f9"),
  promised("LAHF in 64-bit mode", 0x80000001, "ecx", 0, "9f 9e"),
  promised("PREFETCHW", 0x80000001, "ecx", 8, "0f0d0e"),
  absent("AVX", "c5f858c1"),
  absent("AES", "660f38dcc1"),
  absent("PCLMULQDQ", "660f3a44c100"),
  absent("MOVBE", "0f38f006"),
  absent("MONITOR", "0f01c8"),
  absent("RTM", "c7f800000000"),
  absent("SVM", "0f01d8"),
  absent("VMX", "0f01c1"),
  {
    name: "TZCNT and LZCNT, which CPUID does not promise → BSF and BSR",
    world: long,
    code: "b810000000 f30fbcc8 f30fbdd0 f4",
    expect: { registers: { 1: 4n, 2: 4n } },
  },
  {
    name: "CR4.OSXSAVE → CPUID shows it",
    world: long,
    prepare: (w) => void (w.state.cr4 |= 0x40000),
    code: "b801000000 0fa2 0fbae11b 0f92c0 f4",
    expect: { check: ({ state }) => ((state.registers[0] as bigint) & 0xffn) === 1n },
  },
];
