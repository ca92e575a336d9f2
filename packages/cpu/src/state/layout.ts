/**
 * Where each piece of a vCPU's state lies, in bytes from the state's offset in the WebAssembly memory.
 * This is the only place that names these offsets: generated code, helpers and save/restore read them here.
 */
export const State = {
  /** rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 … r15: 8 bytes each. */
  Registers: 0x000,
  /** Eight bytes that are always zero: the base or index of an address that has none. */
  Zero: 0x080,
  /** The instruction pointer, valid while no guest code runs. */
  Rip: 0x088,
  /** rip minus the offset of the instruction in its guest-physical page. */
  RipPage: 0x090,
  /** Sign-extended result of the last flag-setting operation: ZF, SF and PF come from it. */
  FlagResult: 0x098,
  /**
   * Carries of the last flag-setting operation: bit 63 CF, bit 62 CF xor OF, bit 3 AF; bit 0 inverts SF and
   * bits 8–15 are exclusive-ored into the byte whose parity is PF.
   */
  FlagCarries: 0x0a0,
  /** RFLAGS without CF, PF, AF, ZF, SF, OF; 32 bits. */
  SystemFlags: 0x0a8,
  /** Current privilege level, 32 bits. */
  Cpl: 0x0ac,
  /** Offset of the TLB's table of data for the current privilege, `CODE_TLB` before its table of code; 32 bits. */
  Tlb: 0x0b0,
  /** Offset of the jump table for the current decode mode, 32 bits. */
  Jumps: 0x0b4,
  /** Instructions left of the current budget, 32 bits. */
  Remaining: 0x0b8,
  /** Linear address of the last memory operand, for helpers; 64 bits. */
  OperandAddress: 0x0c0,
  /** Base of CS as addresses are formed: 0 in 64-bit mode. */
  CodeBase: 0x0c8,
  /** ANDed with rip after a jump: all ones in 64-bit mode, 32 ones elsewhere, in 16-bit code too. */
  RipMask: 0x0d0,
  /** ANDed with rsp to form a stack address outside 64-bit mode. */
  StackMask: 0x0d8,
  /** How often translated regions were entered, and how many instructions they did; for statistics. 32 and 64 bits. */
  RegionEntries: 0x0e0,
  /** 1 while a region runs, for whoever looks at it from another thread; 32 bits. */
  InRegion: 0x0e4,
  RegionInstructions: 0x0e8,
  /** How often regions left an instruction to the interpreter, and how often for a block or an address; 32 bits each. */
  ExitsToInstruction: 0x0f0,
  ExitsToBlock: 0x0f4,
  ExitsToAddress: 0x0f8,
  /** es, cs, ss, ds, fs, gs, null (base 0), ldtr, tr: `SegmentField` records of 32 bytes. */
  Segments: 0x100,
  /** gdtr, idtr: base at +0 (64 bits), limit at +8 (32 bits). */
  Gdtr: 0x220,
  Idtr: 0x230,
  /** Control registers, 64 bits each. */
  Cr0: 0x240,
  Cr2: 0x248,
  Cr3: 0x250,
  Cr4: 0x258,
  Efer: 0x260,
  Xcr0: 0x268,
  /** dr0 … dr7, 64 bits each; dr4 and dr5 are unused. */
  DebugRegisters: 0x270,
  /** The pending exception of an instruction that faulted: vector, error code (−1 for none), 32 bits each. */
  FaultVector: 0x2b0,
  FaultError: 0x2b4,
  /** Bounce buffer of 64 bytes for accesses that cannot go straight to RAM. */
  Bounce: 0x2c0,
  /** The source of a vector instruction, read by its description, for its helper: 16 bytes. */
  VectorSource: 0x300,
  /** Bytes that a string instruction's round will write, for the host's slow path; 32 bits. */
  Reach: 0x310,
  /** MSRs that system calls use: IA32_STAR, IA32_LSTAR, IA32_FMASK, IA32_KERNEL_GS_BASE; 64 bits each. */
  Star: 0x318,
  Lstar: 0x320,
  Fmask: 0x328,
  KernelGsBase: 0x330,
  /** Offsets of the TLBs for CPL 3, and for others while AC is clear and while it is set; 32 bits each. */
  TlbUser: 0x338,
  TlbAcClear: 0x33c,
  TlbAcSet: 0x340,
  /** Not 0 where an interrupt may be waiting, for which IF is to be looked at whenever it becomes 1; 32 bits. */
  InterruptWaiting: 0x344,
  /** xmm0 … xmm15, 16 bytes each. */
  Xmm: 0x400,
  Mxcsr: 0x500,
  /**
   * x87 control word, status word without TOP, tags as FXSAVE abridges them (bit i: physical register i is not
   * empty), TOP, last opcode: 16 bits each.
   */
  FpuControl: 0x508,
  FpuStatus: 0x50a,
  FpuTag: 0x50c,
  FpuOpcode: 0x510,
  /** Last x87 instruction and operand pointers: 64 bits, then selectors 16 bits. */
  FpuIp: 0x518,
  FpuDp: 0x520,
  FpuCs: 0x528,
  FpuDs: 0x52a,
  /** Physical x87 registers 0–7: significand, then sign and exponent, 8 bytes each; MMX registers are the significands. */
  Fpu: 0x530,
  /** Bytes of one vCPU's state. */
  Length: 0x1000,
} as const;

/** The fields of one segment register's hidden part, in bytes from its record. */
export const SegmentField = {
  Base: 0,
  /** Byte limit, after granularity; 32 bits. */
  Limit: 8,
  Selector: 12,
  /** Descriptor bits 40–47 (type, S, DPL, P) at 0–7, bits 52–55 (AVL, L, D/B, G) at 8–11. */
  Attributes: 16,
  /** `SegmentCheck` bits: which accesses need only the limit compared. */
  Checks: 20,
  Length: 32,
} as const;

/** Precomputed permission of a segment, so that generated code need not decode attributes. */
export const SegmentCheck = {
  /** Reads need only `offset + size - 1 <= limit`. */
  Read: 1,
  /** Writes need only `offset + size - 1 <= limit`. */
  Write: 2,
} as const;

/** Segment register numbers, as instructions encode them, then one of base 0 and the two system segments. */
export const Segment = {
  Es: 0,
  Cs: 1,
  Ss: 2,
  Ds: 3,
  Fs: 4,
  Gs: 5,
  Null: 6,
  Ldtr: 7,
  Tr: 8,
} as const;

/** General register numbers. */
export const Register = {
  Rax: 0,
  Rcx: 1,
  Rdx: 2,
  Rbx: 3,
  Rsp: 4,
  Rbp: 5,
  Rsi: 6,
  Rdi: 7,
} as const;

/** RFLAGS bits (Intel SDM vol. 1, 3.4.3). */
export const Flag = {
  Cf: 1 << 0,
  Fixed: 1 << 1,
  Pf: 1 << 2,
  Af: 1 << 4,
  Zf: 1 << 6,
  Sf: 1 << 7,
  Tf: 1 << 8,
  If: 1 << 9,
  Df: 1 << 10,
  Of: 1 << 11,
  Iopl: 3 << 12,
  Nt: 1 << 14,
  Rf: 1 << 16,
  Vm: 1 << 17,
  Ac: 1 << 18,
  Vif: 1 << 19,
  Vip: 1 << 20,
  Id: 1 << 21,
} as const;

/** The six flags kept lazily, in `FlagResult` and `FlagCarries`. */
export const STATUS_FLAGS = Flag.Cf | Flag.Pf | Flag.Af | Flag.Zf | Flag.Sf | Flag.Of;

/** One TLB entry, in bytes; a table has `TLB_ENTRIES` of them, indexed by linear address bits 12–23. */
export const TlbEntry = {
  /** Linear page address if the access is allowed with no further ado, else that of a page with another entry. */
  Read: 0,
  Write: 8,
  Execute: 16,
  /** Added to a linear address gives the WebAssembly offset: 64 bits, of which the lower 32 do for small memories. */
  Addend: 24,
  Length: 32,
} as const;

export const TLB_ENTRIES = 4096;
export const TLB_BYTES = TLB_ENTRIES * TlbEntry.Length;
/** From a table of data to the one of code with the same privileges. */
export const CODE_TLB = TLB_BYTES;

/**
 * One entry of a jump table: WebAssembly offset of an instruction's first byte (where offsets have more than 32 bits, what
 * the set does not say of it), then its record; 32 bits each. Sets have two, the one that was entered last before the other.
 */
export const JUMP_ENTRY_BYTES = 8;
export const JUMP_SET_BYTES = 2 * JUMP_ENTRY_BYTES;
export const JUMP_SETS = 65536;
export const JUMP_BYTES = JUMP_SETS * JUMP_SET_BYTES;
