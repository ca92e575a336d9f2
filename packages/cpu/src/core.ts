import { VirtualClock, hostEntropy } from "@queztl/memory";
import type { Bus, Clock, Entropy, GuestMemory } from "@queztl/memory";
import type { ApicBus } from "./apic/apic-bus.ts";
import { LocalApic } from "./apic/local-apic.ts";
import type { CodeCache, CodeMode } from "./execute/code-cache.ts";
import { Vector, raise } from "./execute/guest-fault.ts";
import { LinearMemory } from "./execute/linear-memory.ts";
import { PseudoEntry } from "./execute/lower.ts";
import type { MicroOp } from "./execute/micro-op.ts";
import { defaultFeatures } from "./features.ts";
import type { ProcessorFeatures } from "./features.ts";
import { createMsrFile, keepInState } from "./msr-file.ts";
import type { MsrFile } from "./msr-file.ts";
import { TlbKind } from "./paging/tlb.ts";
import { composeStatusFlags, splitStatusFlags } from "./semantics/flags.ts";
import { Flag, STATUS_FLAGS, Segment, SegmentCheck, SegmentField, State } from "./state/layout.ts";
import { HelperStatus } from "./state/status.ts";
import { StateX87Registers } from "./state/x87-registers.ts";
import type { Translator } from "./translator/translator.ts";
import { X87 } from "./x87/x87.ts";

/** What vCPUs of one machine share: memory, buses, decoded code, and the bus between their local APICs. */
export interface CpuBoard {
  readonly memory: GuestMemory;
  readonly ports: Bus;
  readonly mmio: Bus;
  readonly code: CodeCache;
  /** Absent where everything is interpreted. */
  readonly translator: Translator | undefined;
  readonly apics: ApicBus;
  /** The PIC: whether its INTR pin is asserted, and its answer to an interrupt-acknowledge cycle. */
  pic: { pending(): boolean; acknowledge(): number } | undefined;
}

/** How a processor is made; all of it has defaults. */
export interface CoreOptions {
  readonly id?: number;
  readonly clock?: Clock;
  readonly entropy?: Entropy;
  readonly features?: Partial<ProcessorFeatures>;
}

const ANY_ACCESS = SegmentCheck.Read | SegmentCheck.Write;

/**
 * The state of one x86-64 processor and what depends on it: registers in the arena of guest memory, where
 * generated code works on them, translation, modes. Helpers work on this; `Vcpu` adds the running of code.
 */
export class Core {
  readonly board: CpuBoard;
  /** Offset of the state in the WebAssembly memory. */
  readonly state: number;
  readonly view: DataView;
  /** rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 … r15. */
  readonly registers: BigUint64Array;
  readonly linear: LinearMemory;
  /** Instructions executed since reset. */
  instructions = 0;

  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly features: ProcessorFeatures;
  readonly msr: MsrFile;
  /** The number in CPUID and the local APIC; 0 starts the machine. */
  readonly id: number;

  /** HLT was executed: nothing runs until an interrupt comes. */
  halted = false;
  /** A triple fault stopped the processor for good. */
  shutdown = false;
  /** NMIs wait for the next IRET. */
  nmiBlocked = false;
  /** Interrupts wait until one more instruction has run (after STI, MOV SS, POP SS). */
  shadow = false;
  /** Stopped by INIT until a startup message comes; the state in which all processors but 0 begin. */
  waitingForStartup = false;
  /** An NMI is pending. */
  nmiPending = false;
  /** Something outside the program wants a look between instructions: an interrupt, a request to stop. */
  attention = false;
  /** A PAUSE loop offers its turn to the other processors. */
  yields = false;
  /** Where a fault while delivering a software interrupt returns to: the INT itself. */
  returnOnFault: bigint | undefined;
  /** An event or SYSCALL entered the supervisor and cleared TF: no single-step trap follows the instruction. */
  entered = false;
  /** A task was entered whose TSS asks for a debug exception before its first instruction. */
  taskTrap = false;
  /** DR6 bits of data breakpoints that the current instruction met. */
  breakpointsMet = 0;
  /** Any breakpoint is enabled in DR7: run one instruction at a time and look. */
  breakpointsEnabled = false;
  readonly apic: LocalApic;
  readonly x87: X87;

  #codeMode: CodeMode;
  readonly #random = new Uint8Array(8);

  constructor(board: CpuBoard, options: CoreOptions = {}) {
    this.board = board;
    const { memory, code } = board;
    this.id = options.id ?? 0;
    this.clock = options.clock ?? new VirtualClock();
    this.entropy = options.entropy ?? hostEntropy;
    this.features = { ...defaultFeatures, ...options.features };
    this.state = memory.allocate(State.Length, 4096);
    this.view = memory.arena.view;
    this.msr = keepInState(createMsrFile(this.id), this.view, this.state);
    this.registers = new BigUint64Array(memory.arena.bytes.buffer, this.state, 16);
    this.x87 = new X87(new StateX87Registers(this.view, this.state));
    this.apic = new LocalApic({
      id: this.id,
      clock: this.clock,
      timerHz: this.features.apicHz,
      send: (message, shorthand) => void board.apics.send(this.apic, message, shorthand),
      endOfInterrupt: (vector) => board.apics.endOfInterrupt(vector),
      nmi: () => {
        this.nmiPending = true;
        this.wake();
      },
      init: () => this.init(),
      startup: (page) => this.startup(page),
      tsc: () => this.tsc,
      tscDeadlineNs: (value) => this.#nsOfTsc(value),
      wake: () => this.wake(),
    });
    board.apics.attach(this.apic);
    this.linear = new LinearMemory(
      {
        memory,
        mmio: board.mmio,
        apicRead: (address) => this.#apicRead(address),
        apicWrite: (address, value) => this.#apicWrite(address, value),
      },
      this.state,
    );
    code.onProtect((page) => this.linear.tlb.forbidPageWrites(page));
    memory.onProtect(() => this.linear.tlb.forbidWrites());
    this.#codeMode = code.mode(16, false, false, { x87: 0, mmx: 0, sse: 0 });
    this.reset();
  }

  /** Puts the processor in its state after power-up (Intel SDM vol. 3, 10.1.1). */
  reset(): void {
    Object.assign(this.msr, createMsrFile(this.id));
    this.apic.setMode(true, false);
    this.#resetRegisters();
    this.waitingForStartup = this.id !== 0;
    this.view.setUint16(this.state + State.FpuControl, 0x40, true);
    this.view.setUint16(this.state + State.FpuTag, 0xff, true);
    this.view.setUint16(this.state + State.FpuStatus, 0, true);
    this.setU32(State.Mxcsr, 0x1f80);
    this.setU64(State.Xcr0, 1n);
  }

  /** INIT: as a reset, but MSRs, x87 and SSE state stay; the processor waits for a startup message. */
  init(): void {
    const [cd, nw] = [this.u32(State.Cr0) & 0x40000000, this.u32(State.Cr0) & 0x20000000];
    this.#resetRegisters();
    this.setU64(State.Cr0, BigInt((cd | nw | 0x10) >>> 0));
    this.waitingForStartup = true;
    this.wake();
  }

  /** A startup message: real mode at page `page`, if the processor waits for one (Intel SDM vol. 3, 9.4.3). */
  startup(page: number): void {
    if (!this.waitingForStartup) return;
    this.waitingForStartup = false;
    this.setU64(this.segmentAt(Segment.Cs, SegmentField.Base), BigInt(page) << 12n);
    this.setU32(this.segmentAt(Segment.Cs, SegmentField.Selector), page << 8);
    this.rip = 0n;
    this.sync();
    this.wake();
  }

  #resetRegisters(): void {
    this.registers.fill(0n);
    this.registers[2] = 0x306a9n;
    this.rip = 0xfff0n;
    this.setU64(State.Zero, 0n);
    this.flags = Flag.Fixed;
    this.setU32(State.Cpl, 0);
    this.setU64(State.Cr0, 0x60000010n);
    for (const at of [State.Cr2, State.Cr3, State.Cr4, State.Efer]) this.setU64(at, 0n);
    for (let i = 0; i < 8; i++) this.setU64(State.DebugRegisters + i * 8, 0n);
    this.setU64(State.DebugRegisters + 6 * 8, 0xffff0ff0n);
    this.setU64(State.DebugRegisters + 7 * 8, 0x400n);
    for (let segment = 0; segment <= Segment.Tr; segment++) {
      const system = segment === Segment.Ldtr ? 0x82 : segment === Segment.Tr ? 0x8b : 0x93;
      const at = (field: number): number => this.segmentAt(segment, field);
      this.setU64(at(SegmentField.Base), segment === Segment.Cs ? 0xffff0000n : 0n);
      this.setU32(at(SegmentField.Limit), 0xffff);
      this.setU32(at(SegmentField.Selector), segment === Segment.Cs ? 0xf000 : 0);
      this.setU32(at(SegmentField.Attributes), segment === Segment.Null ? 0 : system);
      this.setU32(at(SegmentField.Checks), segment < Segment.Null ? 3 : 0);
    }
    for (const table of [State.Gdtr, State.Idtr]) {
      this.setU64(table, 0n);
      this.setU32(table + 8, table === State.Idtr ? 0x3ff : 0xffff);
    }
    this.apic.reset();
    this.halted = this.shutdown = this.nmiBlocked = this.shadow = this.nmiPending = false;
    this.taskTrap = false;
    this.debugChanged();
    this.linear.tlb.flush(false);
    this.sync();
  }

  /** Has the processor look at interrupts and requests before it goes on. */
  wake(): void {
    this.attention = true;
    this.setU32(State.InterruptWaiting, 1);
  }

  /** The task priority, as CR8 shifted left by 4. */
  get taskPriority(): number {
    return this.apic.taskPriority;
  }

  set taskPriority(value: number) {
    this.apic.taskPriority = value;
  }

  /** Writes IA32_APIC_BASE: #GP for a change of mode that the architecture forbids (Intel SDM vol. 3, 11.12.5). */
  writeApicBase(value: bigint): void {
    const old = this.msr.apicBase;
    const bsp = old & 0x100n;
    const [enabled, extended] = [(value & 0x800n) !== 0n, (value & 0x400n) !== 0n];
    const wasExtended = (old & 0x400n) !== 0n;
    const wasEnabled = (old & 0x800n) !== 0n;
    const reserved = (value & ~0xfffffffd00n) !== 0n;
    const illegal =
      (extended && !enabled) || (wasExtended && enabled && !extended) || (!wasEnabled && extended);
    if (reserved || illegal) raise(Vector.GeneralProtection, 0);
    this.msr.apicBase = (value & ~0x100n) | bsp;
    this.apic.setMode(enabled, extended);
    this.linear.tlb.flush(false);
  }

  /** Follows DR7: whether breakpoints are to be looked for. */
  debugChanged(): void {
    const dr7 = this.u32(State.DebugRegisters + 7 * 8);
    const enabled = (dr7 & 0xff) !== 0;
    if (enabled !== this.breakpointsEnabled) this.linear.tlb.flush(false);
    this.breakpointsEnabled = enabled;
    this.linear.watch = enabled
      ? (low, high, bytes, write) => this.#watchData(low, high, bytes, write)
      : undefined;
  }

  /** Notes the data breakpoints that an access meets. */
  #watchData(low: number, high: number, bytes: number, write: boolean): void {
    const address = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
    this.#meetBreakpoints(address, bytes, (kind) => kind === 3 || (kind === 1 && write));
  }

  /** Notes the I/O breakpoints that an access to a port meets; CR4.DE has them. */
  watchPort(port: number, bytes: number): void {
    if (!this.breakpointsEnabled || (this.u32(State.Cr4) & 8) === 0) return;
    this.#meetBreakpoints(BigInt(port), bytes, (kind) => kind === 2);
  }

  /** Breakpoints by their R/W bits, address and length (Intel SDM vol. 3, 18.2.4 and 18.2.5). */
  #meetBreakpoints(address: bigint, bytes: number, watches: (kind: number) => boolean): void {
    const dr7 = this.u32(State.DebugRegisters + 7 * 8);
    for (let i = 0; i < 4; i++) {
      if (((dr7 >> (i * 2)) & 3) === 0) continue;
      const control = (dr7 >>> (16 + i * 4)) & 15;
      if (!watches(control & 3)) continue;
      const length = BigInt([1, 2, 8, 4][control >> 2] as number);
      const start = this.u64(State.DebugRegisters + i * 8) & ~(length - 1n);
      if (address < start + length && address + BigInt(bytes) > start) {
        this.breakpointsMet |= 1 << i;
      }
    }
  }

  #apicOffset(address: number): number {
    const { apicBase } = this.msr;
    if ((apicBase & 0xc00n) !== 0x800n) return -1;
    const offset = address - Number(apicBase & 0xfffffff000n);
    return offset >= 0 && offset < 4096 ? offset : -1;
  }

  #apicRead(address: number): number | undefined {
    const offset = this.#apicOffset(address);
    return offset < 0 ? undefined : this.apic.read(offset);
  }

  #apicWrite(address: number, value: number): boolean {
    const offset = this.#apicOffset(address);
    if (offset < 0) return false;
    this.apic.write(offset, value);
    return true;
  }

  /** Guest time at which the counter reaches a value: the same whenever it is asked, so that a saved timer is exact. */
  #nsOfTsc(value: bigint): number {
    const { tsc } = this;
    const ahead = BigInt.asIntN(64, value - tsc);
    if (ahead <= 0n) return this.clock.nowNs();
    const khz = BigInt(this.features.tscKhz);
    const ticks = BigInt.asUintN(64, tsc - this.msr.tscOffset) + ahead;
    return Number((ticks * 1_000_000n + khz - 1n) / khz);
  }

  /** How the bytes at rip are decoded now. */
  get codeMode(): CodeMode {
    return this.#codeMode;
  }

  /** Instructions executed, counting those of the slice that is running; a running `Vcpu` knows more. */
  get instructionsNow(): number {
    return this.instructions;
  }

  /** The time-stamp counter: guest time at the declared frequency, plus what software wrote to it. */
  get tsc(): bigint {
    const ns = Math.floor(this.clock.nowNs());
    const { tscKhz } = this.features;
    const ticks = tscKhz === 1_000_000 ? BigInt(ns) : (BigInt(ns) * BigInt(tscKhz)) / 1_000_000n;
    return BigInt.asUintN(64, ticks + this.msr.tscOffset);
  }

  /** 64 random bits. */
  randomUint64(): bigint {
    this.entropy.fill(this.#random);
    return new DataView(this.#random.buffer).getBigUint64(0, true);
  }

  /** After MOV SS, POP SS and STI: interrupts and single-step traps wait for one more instruction. */
  shadowInterrupts(): void {
    this.shadow = true;
  }

  /** IRET ends the blocking of NMIs. */
  endNmi(): void {
    this.nmiBlocked = false;
  }

  /**
   * What a helper returns that set rip and may have set IF, TF or RF, or let NMIs in: the machine looks where that has
   * consequences before the next instruction.
   */
  changedInterruptFlag(): number {
    const stepping = (this.u32(State.SystemFlags) & (Flag.Tf | Flag.Rf)) !== 0;
    const looks = stepping || this.nmiPending || this.u32(State.InterruptWaiting) !== 0;
    return looks ? HelperStatus.Exit : HelperStatus.Jump;
  }

  u32(offset: number): number {
    return this.view.getUint32(this.state + offset, true);
  }

  setU32(offset: number, value: number): void {
    this.view.setUint32(this.state + offset, value, true);
  }

  u64(offset: number): bigint {
    return this.view.getBigUint64(this.state + offset, true);
  }

  setU64(offset: number, value: bigint): void {
    this.view.setBigUint64(this.state + offset, BigInt.asUintN(64, value), true);
  }

  get rip(): bigint {
    return this.u64(State.Rip);
  }

  set rip(value: bigint) {
    this.setU64(State.Rip, value);
  }

  get cpl(): number {
    return this.u32(State.Cpl);
  }

  /** RFLAGS, all of it. */
  get flags(): number {
    const status = composeStatusFlags(
      this.u32(State.FlagResult),
      this.u32(State.FlagResult + 4),
      this.u32(State.FlagCarries),
      this.u32(State.FlagCarries + 4),
    );
    return status | (this.u32(State.SystemFlags) & ~STATUS_FLAGS) | Flag.Fixed;
  }

  /** Writes all of RFLAGS; reserved bits are forced. Call `sync` after changing AC or VM. */
  set flags(value: number) {
    const [result, low, high] = splitStatusFlags(value);
    this.setU64(State.FlagResult, BigInt(result));
    this.setU32(State.FlagCarries, low);
    this.setU32(State.FlagCarries + 4, high >>> 0);
    this.setU32(State.SystemFlags, (value & ~STATUS_FLAGS & 0x3f7fd5) | Flag.Fixed);
  }

  /** Offset in the state of a field of a segment register. */
  segmentAt(segment: number, field: number): number {
    return State.Segments + segment * SegmentField.Length + field;
  }

  /** Address of the instruction behind the one that `op` stands for. */
  nextRip(op: MicroOp): bigint {
    const next = this.u64(State.RipPage) + BigInt(op.inPage + op.length);
    return next & this.u64(State.RipMask);
  }

  /**
   * Works out everything that depends on control registers, privilege and segments: call it after changing
   * any of them. Cheap enough for each change of privilege.
   */
  sync(): void {
    const cr0 = this.u32(State.Cr0);
    const cr4 = this.u32(State.Cr4);
    const efer = this.u32(State.Efer);
    const attributes = this.u32(this.segmentAt(Segment.Cs, SegmentField.Attributes));
    const lma = (efer & 0x400) !== 0;
    const virtual8086 = (this.u32(State.SystemFlags) & Flag.Vm) !== 0;
    const long = lma && (attributes & 0x200) !== 0;
    const big = (attributes & 0x400) !== 0 && !virtual8086;
    const mode = long ? 64 : big ? 32 : 16;
    const { linear } = this;
    const { paging } = linear;
    paging.enabled = (cr0 & 0x80000000) !== 0;
    paging.levels = lma ? 4 : (cr4 & 0x20) !== 0 ? 3 : 2;
    paging.writeProtect = (cr0 & 0x10000) !== 0;
    paging.noExecute = (efer & 0x800) !== 0;
    paging.smep = (cr4 & 0x100000) !== 0;
    paging.smap = (cr4 & 0x200000) !== 0;
    paging.largePages = (cr4 & 0x10) !== 0;
    paging.globalPages = (cr4 & 0x80) !== 0;
    const cr3 = this.u32(State.Cr3);
    paging.root =
      paging.levels === 3
        ? (cr3 & ~31) >>> 0
        : (this.u32(State.Cr3 + 4) & 0xff) * 2 ** 32 + ((cr3 & ~0xfff) >>> 0);
    const ac = (this.u32(State.SystemFlags) & Flag.Ac) !== 0;
    const cpl = this.cpl;
    linear.long = long;
    const aligned = (cr0 & 0x40000) !== 0 && ac && cpl === 3;
    if (aligned !== linear.alignmentChecked) {
      linear.alignmentChecked = aligned;
      linear.tlb.flush(false);
    }
    const base = long ? 0n : this.u64(this.segmentAt(Segment.Cs, SegmentField.Base));
    const limit = this.u32(this.segmentAt(Segment.Cs, SegmentField.Limit));
    const flat = long || (base === 0n && limit === 0xffffffff);
    const stackBig = (this.u32(this.segmentAt(Segment.Ss, SegmentField.Attributes)) & 0x400) !== 0;
    this.setU64(State.CodeBase, base);
    this.setU64(State.RipMask, long ? 0xffffffffffffffffn : 0xffffffffn);
    this.setU64(State.StackMask, stackBig && !virtual8086 ? 0xffffffffn : 0xffffn);
    const { tlb } = linear;
    this.setU32(State.Tlb, tlb.table(linear.kind));
    this.setU32(State.TlbUser, tlb.table(TlbKind.User));
    this.setU32(
      State.TlbAcClear,
      tlb.table(paging.smap ? TlbKind.SupervisorStrict : TlbKind.Supervisor),
    );
    this.setU32(State.TlbAcSet, tlb.table(TlbKind.Supervisor));
    const em = (cr0 & 4) !== 0;
    const ts = (cr0 & 8) !== 0;
    const noDevice = PseudoEntry.NoDevice;
    const invalid = PseudoEntry.InvalidOpcode;
    const osfxsr = (cr4 & 0x200) !== 0;
    this.#codeMode = this.board.code.mode(mode, flat, mode === 32 && flat && this.#hasFlatData(), {
      x87: em || ts ? noDevice : 0,
      mmx: em ? invalid : ts ? noDevice : 0,
      sse: em || !osfxsr ? invalid : ts ? noDevice : 0,
    });
    this.setU32(State.Jumps, this.#codeMode.jumps);
  }

  /** ES, SS or DS was loaded: `sync` if code is now to be found in another mode. */
  dataSegmentChanged(): void {
    const { mode, flat, flatData } = this.#codeMode;
    if (mode === 32 && flat && flatData !== this.#hasFlatData()) this.sync();
  }

  /** Whether ES, SS and DS have base 0 and no limit and may be written, and the stack pointer has 32 bits. */
  #hasFlatData(): boolean {
    const isFlat = (segment: number): boolean =>
      this.u64(this.segmentAt(segment, SegmentField.Base)) === 0n &&
      this.u32(this.segmentAt(segment, SegmentField.Limit)) === 0xffffffff &&
      this.u32(this.segmentAt(segment, SegmentField.Checks)) === ANY_ACCESS;
    const big = (this.u32(this.segmentAt(Segment.Ss, SegmentField.Attributes)) & 0x400) !== 0;
    return big && isFlat(Segment.Ss) && isFlat(Segment.Ds) && isFlat(Segment.Es);
  }

  /**
   * The full segment check outside 64-bit mode (Intel SDM vol. 3, 5.3–5.5): returns 0 if the access is
   * allowed, throws #GP or #SS if not.
   */
  checkSegment(segment: number, offset: number, request: number): number {
    const bytes = request & 0xff;
    const write = (request & 0x100) !== 0;
    const attributes = this.u32(this.segmentAt(segment, SegmentField.Attributes));
    const limit = this.u32(this.segmentAt(segment, SegmentField.Limit));
    const vector = segment === Segment.Ss ? Vector.StackFault : Vector.GeneralProtection;
    const present = (attributes & 0x80) !== 0;
    const code = (attributes & 8) !== 0;
    const permitted = write ? !code && (attributes & 2) !== 0 : !code || (attributes & 2) !== 0;
    // A null selector leaves an unusable segment: not present.
    if (!present || !permitted) raise(vector, 0);
    const expandDown = !code && (attributes & 4) !== 0;
    const last = offset + bytes - 1;
    const top = (attributes & 0x400) !== 0 ? 0xffffffff : 0xffff;
    const inside = expandDown ? offset > limit && last <= top : last <= limit;
    if (!inside) raise(vector, 0);
    return 0;
  }
}
