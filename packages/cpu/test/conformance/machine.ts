/** A segment register: attributes are descriptor bits 40–47 at 0–7 and 52–55 at 8–11. */
export interface SegmentState {
  selector: number;
  base: bigint;
  limit: number;
  attributes: number;
}

export type SegmentName = "es" | "cs" | "ss" | "ds" | "fs" | "gs" | "ldtr" | "tr";

/** The architectural state of one processor, as far as cases set and look at it. */
export interface ProcessorState {
  /** rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 … r15. */
  registers: bigint[];
  rip: bigint;
  rflags: number;
  segments: Record<SegmentName, SegmentState>;
  gdtr: { base: bigint; limit: number };
  idtr: { base: bigint; limit: number };
  cr0: number;
  cr2: bigint;
  cr3: bigint;
  cr4: number;
  cr8: number;
  efer: number;
  /** dr0 … dr7. */
  debug: bigint[];
  /** Model-specific registers that the case sets before it starts. */
  msrs: Record<number, bigint>;
}

/** Why a run ended. */
export type RunEnd = "halt" | "shutdown" | "budget" | "wait";

/**
 * What an implementation of the processor offers to be held against the cases: the emulated processor has an
 * adapter here; KVM and the translator bring theirs.
 */
export interface Machine {
  /** At least 4 MiB of RAM from guest-physical 0. */
  read(address: number, length: number): Uint8Array;
  write(address: number, bytes: Uint8Array): void;
  /** Puts a processor into a state, whatever it was in before. */
  setState(processor: number, state: ProcessorState): void;
  getState(processor: number): ProcessorState;
  /** Runs one processor, while the others stand still, for at most so many instructions. */
  run(processor: number, instructions: number): RunEnd;
  /** Lets guest time pass, in nanoseconds, while no processor runs. */
  pass(ns: number): void;
  /** Raises the NMI pin of a processor. */
  nmi(processor: number): void;
  /** Raises a fixed interrupt in a processor's local APIC, as a device would. */
  interrupt(processor: number, vector: number): void;
  /** What ports received: `[port, size, value]` in order; reads answer 0x5a in each byte. */
  readonly portWrites: (readonly [port: number, size: number, value: number])[];
}
