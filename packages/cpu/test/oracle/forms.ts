import { X86_64_V2 } from "../../src/isa/features.ts";
import type { OpcodeEntry } from "../../src/isa/opcode-entry.ts";
import type { Vendor } from "../../src/isa/operand-size.ts";
import { OPCODES } from "../../src/isa/opcodes.ts";
import { encodableForms, operandSizes } from "../../src/isa/testing/encode.ts";

/** One form of an instruction under one choice of mode and sizes. */
export interface Form {
  readonly entry: OpcodeEntry;
  readonly mode: 32 | 64;
  readonly vendor: Vendor;
  readonly operandSize: 16 | 32 | 64;
  readonly addressSize: 16 | 32 | 64;
  readonly form: "reg" | "mem" | "none";
}

/** A form's name: the same as long as its row of the opcode table is. */
export function formName({ entry, mode, operandSize, addressSize, form }: Form): string {
  return `${entry.text} [${mode}-bit, operands ${operandSize}, addresses ${addressSize}, ${form}]`;
}

/** FNV-1a, 32 bits. */
export function digest(bytes: Uint8Array, start = 0x811c9dc5): number {
  let hash = start;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** Instructions whose outcome is not the processor's alone, with the reason. */
export const NOT_COMPARED: Readonly<Record<string, string>> = {
  cpuid: "differs from processor to processor",
  rdtsc: "differs from run to run",
  rdtscp: "differs from run to run",
  rdpid: "the host's kernel chooses the number",
  rdrand: "differs from run to run",
  rdseed: "differs from run to run",
  rdpmc: "the host's kernel decides whether programs may",
  serialize: "not every host offers it",
  xgetbv: "the host offers more state components",
  sgdt: "the host's kernel emulates it (UMIP)",
  sidt: "the host's kernel emulates it (UMIP)",
  sldt: "the host's kernel emulates it (UMIP)",
  str: "the host's kernel emulates it (UMIP)",
  smsw: "the host's kernel emulates it (UMIP)",
  int1: "hypervisors hand it on with another return address",
  syscall: "would call the host's kernel",
  sysenter: "would call the host's kernel",
  sysexit: "AMD processors refuse it in long mode, Intel ones do not",
  sysret: "AMD and Intel processors check privilege and mode in different order",
};

const SIMD_KINDS = /^(xmm|mmx|st0?$)/;

/** Forms of x87, MMX and SSE, and what saves their state. */
export function usesVectors(entry: OpcodeEntry): boolean {
  if (entry.map === 0 && entry.opcode >= 0xd8 && entry.opcode <= 0xdf) return true;
  if (/^(emms|fwait)$/.test(entry.mnemonic)) return true;
  if (/^(fx|x)(save|rstor)|mxcsr$/.test(entry.mnemonic)) return true;
  return entry.operands.some(({ kind }) => SIMD_KINDS.test(kind));
}

/** Every form that a program can execute and the host can be asked about. */
export function formsOf(select: (entry: OpcodeEntry) => boolean): Form[] {
  const offered = new Set<string>(X86_64_V2);
  const found: Form[] = [];
  for (const entry of OPCODES) {
    if (!offered.has(entry.feature) || NOT_COMPARED[entry.mnemonic] !== undefined) continue;
    if (!select(entry)) continue;
    for (const mode of [64, 32] as const) {
      // Near branches as Intel reads their prefixes mean the same to AMD without a 66; far pointers as AMD does.
      const vendor = entry.sizeClass === "branch" ? "intel" : "amd";
      const sizes = operandSizes(entry, mode, vendor);
      const addressSizes = mode === 64 ? ([64, 32] as const) : ([32, 16] as const);
      for (const operandSize of sizes)
        for (const form of encodableForms(entry)) {
          // AMD processors read four bytes where Intel's read two.
          if (entry.mnemonic === "movsxd" && operandSize === 16 && form === "mem") continue;
          for (const addressSize of addressSizes)
            found.push({ entry, mode, vendor, operandSize, addressSize, form });
        }
    }
  }
  return found;
}
