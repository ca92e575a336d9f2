import type { LocalApicState } from "../apic/local-apic-state.ts";
import { cpuError } from "../errors.ts";

/** A segment register with its hidden part. */
export interface SegmentRegisterState {
  readonly selector: number;
  readonly base: bigint;
  /** In bytes, the granularity applied. */
  readonly limit: number;
  /** Descriptor bits 40–47 at 0–7 and 52–55 at 12–15, as in VMX (Intel SDM vol. 3, 25.4.1). */
  readonly attributes: number;
}

/** The segment registers in a saved state, in the order of their numbers. */
export const SEGMENT_NAMES = ["es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"] as const;

/** What a processor does: `startup` waits for a startup message, `shutdown` met a triple fault. */
export type Activity = "running" | "halted" | "startup" | "shutdown";

/**
 * The architectural state of one processor with its local APIC, as any engine can load it: nothing here
 * depends on how guest code is run.
 */
export interface VcpuState {
  readonly version: 1;
  readonly id: number;
  readonly activity: Activity;
  /** Instructions executed since it was made. */
  readonly instructions: number;
  /** rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 … r15. */
  readonly registers: readonly bigint[];
  readonly rip: bigint;
  readonly rflags: number;
  readonly cpl: number;
  readonly segments: Readonly<Record<(typeof SEGMENT_NAMES)[number], SegmentRegisterState>>;
  readonly gdtr: { readonly base: bigint; readonly limit: number };
  readonly idtr: { readonly base: bigint; readonly limit: number };
  readonly cr0: bigint;
  readonly cr2: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
  readonly xcr0: bigint;
  /** The page-directory-pointer entries of PAE paging, kept from the last load of CR3. */
  readonly pdptrs: readonly bigint[];
  /** dr0 to dr3, dr6, dr7. */
  readonly debug: readonly bigint[];
  /** x87, MXCSR and XMM registers as FXSAVE64 stores them; the x87 pointers are there in any case. */
  readonly fxsave: Uint8Array;
  /** The time-stamp counter at the moment of saving. */
  readonly tsc: bigint;
  /** Model-specific registers by number, in hexadecimal. */
  readonly msrs: Readonly<Record<string, bigint>>;
  /** Interrupts wait for one more instruction (after STI, MOV SS). */
  readonly interruptShadow: boolean;
  readonly nmiPending: boolean;
  readonly nmiBlocked: boolean;
  readonly apic: LocalApicState;
}

const U64 = 1n << 64n;

const word = (value: unknown): boolean => typeof value === "bigint" && value >= 0n && value < U64;
const whole = (most: number) => (value: unknown) =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most;
const flag = (value: unknown): boolean => typeof value === "boolean";
const words = (count: number) => (value: unknown) =>
  Array.isArray(value) && value.length === count && value.every(word);
const table = (value: unknown): boolean =>
  isObject(value) && word(value["base"]) && whole(0xffff)(value["limit"]);
const segment = (value: unknown): boolean =>
  isObject(value) &&
  whole(0xffff)(value["selector"]) &&
  word(value["base"]) &&
  whole(0xffffffff)(value["limit"]) &&
  whole(0x1ffff)(value["attributes"]);

const CHECKS: Readonly<Record<keyof VcpuState, (value: unknown) => boolean>> = {
  version: (value) => value === 1,
  id: whole(0xffff),
  activity: (value) => ["running", "halted", "startup", "shutdown"].includes(value as string),
  instructions: whole(Number.MAX_SAFE_INTEGER),
  registers: words(16),
  rip: word,
  rflags: whole(0xffffffff),
  cpl: whole(3),
  segments: (value) => isObject(value) && SEGMENT_NAMES.every((name) => segment(value[name])),
  gdtr: table,
  idtr: table,
  cr0: word,
  cr2: word,
  cr3: word,
  cr4: word,
  efer: word,
  xcr0: word,
  pdptrs: words(4),
  debug: words(6),
  fxsave: (value) => value instanceof Uint8Array && value.length === 512,
  tsc: word,
  msrs: (value) => isObject(value) && Object.values(value).every(word),
  interruptShadow: flag,
  nmiPending: flag,
  nmiBlocked: flag,
  apic: isObject,
};

/** Checks that a value read from outside is a processor's saved state. @throws QZ_CPU_STATE */
export function checkVcpuState(value: unknown): asserts value is VcpuState {
  if (!isObject(value)) throw cpuError("QZ_CPU_STATE", { reason: "it is no object" });
  for (const [key, check] of Object.entries(CHECKS)) {
    if (!Object.hasOwn(value, key) || !check(value[key])) {
      throw cpuError("QZ_CPU_STATE", { reason: `its ${key} is missing or impossible` });
    }
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
