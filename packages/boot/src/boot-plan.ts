/** The mode a CPU starts in. */
export type CpuMode = "long64" | "protected32" | "real16";

/** A segment register with its hidden part (Intel SDM vol. 3, 3.4.3). */
export interface SegmentState {
  readonly selector: number;
  readonly base: number;
  /** In bytes, the granularity applied: 0xffffffff for a flat segment. */
  readonly limit: number;
  /**
   * Bits 7:0 are the descriptor's access byte (type, S, DPL, P), bits 15:12 its flags (AVL, L, D/B, G), as in VMX
   * (Intel SDM vol. 3, 25.4.1).
   */
  readonly attributes: number;
}

/** Base and limit of a descriptor table. */
export interface TableState {
  readonly base: number;
  /** Bytes less one. */
  readonly limit: number;
}

/**
 * The state in which the boot CPU starts. Whatever is not named here is as after a reset, with one
 * exception: interrupts are off in all.
 */
export interface BootCpuState {
  /** General registers that are not zero. */
  readonly registers: {
    readonly rip: number;
    readonly rax?: number;
    readonly rbx?: number;
    readonly rsi?: number;
    readonly rsp?: number;
  };
  readonly rflags: number;
  readonly cr0: number;
  readonly cr3: number;
  readonly cr4: number;
  readonly efer: number;
  readonly cs: SegmentState;
  /** For SS, DS, ES, FS and GS. */
  readonly data: SegmentState;
  readonly tr: SegmentState;
  readonly gdt: TableState;
  readonly idt: TableState;
}

/** What a loaded kernel expects: guest memory is written, and this CPU state makes it start. */
export interface BootPlan {
  /** Which protocol starts it. */
  readonly kind: "linux64" | "linux32" | "pvh" | "multiboot" | "flat";
  readonly mode: CpuMode;
  /** Guest-physical address of the first instruction. */
  readonly entry: number;
  readonly cpu: BootCpuState;
  /** Where the initrd lies, when there is one; in bytes. */
  readonly initrd?: { readonly address: number; readonly length: number };
  /** The kernel's version string, when its header has one. */
  readonly kernelVersion?: string;
}
