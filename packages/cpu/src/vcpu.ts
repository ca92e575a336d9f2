import { PAGE_BYTES, createMmioBus, createPortBus } from "@queztl/memory";
import type { Bus, GuestMemory } from "@queztl/memory";
import { ApicBus } from "./apic/apic-bus.ts";
import { Core } from "./core.ts";
import type { CoreOptions, CpuBoard } from "./core.ts";
import { Decoder } from "./decode/decoder.ts";
import { CodeCache } from "./execute/code-cache.ts";
import { GuestFault, Vector, raise } from "./execute/guest-fault.ts";
import type { Helper } from "./execute/helper.ts";
import { Lowering, PseudoEntry } from "./execute/lower.ts";
import { MicroOp } from "./execute/micro-op.ts";
import { isStackAccess } from "./execute/stack-access.ts";
import { compiledInterpreter } from "./interpreter/compiled-interpreter.ts";
import type { InterpreterHost } from "./interpreter/interpreter.ts";
import { semanticsName } from "./interpreter/shapes.ts";
import { X86_64_V2 } from "./isa/features.ts";
import { OPCODES } from "./isa/opcodes.ts";
import { Flag, Segment, SegmentField, State } from "./state/layout.ts";
import { Record } from "./state/record.ts";
import { HelperStatus, RunStatus } from "./state/status.ts";
import { MOST_REGIONS, Translator } from "./translator/translator.ts";
import { isReal } from "./system/descriptors.ts";
import { deliver } from "./system/exceptions.ts";
import { helpers } from "./system/helpers.ts";
import { TASK_TRAP } from "./system/task-switch.ts";

/** Arena of guest memory that the shared decoded code takes, and each vCPU, in bytes. */
export const CODE_ARENA_BYTES = 80 * 1024 * 1024;
export const VCPU_ARENA_BYTES = 1024 * 1024;
const RECORD_BYTES = 64 * 1024 * 1024;

/** The interpreter counts its budget in 32 bits. */
const MOST_IN_ONE_SLICE = 0x3fffffff;

/** Why `Vcpu.run` came back. */
export type VcpuExit =
  /** the instructions are used up */
  | "budget"
  /** HLT: nothing to do until an interrupt */
  | "halt"
  /** a PAUSE loop: let the others run */
  | "yield"
  /** waiting for a startup message of another processor */
  | "wait"
  /** `requestStop` was called */
  | "stop"
  /** a triple fault */
  | "shutdown";

/** How the processors of a board run code. */
export interface BoardOptions {
  /**
   * 0, the default, has everything interpreted; `auto` has hot code translated to WebAssembly; `eager`, for tests,
   * has code translated when it is first entered.
   */
  readonly tier?: 0 | "auto" | "eager";
  /** How much decoded code is kept, in bytes; less than the default is for tests. */
  readonly recordBytes?: number;
}

/**
 * Makes the parts that the vCPUs of one machine share. The memory needs an arena of `CODE_ARENA_BYTES` and
 * `VCPU_ARENA_BYTES` more for each vCPU.
 */
export function createBoard(
  memory: GuestMemory,
  ports: Bus = createPortBus(),
  mmio: Bus = createMmioBus(),
  options: BoardOptions = {},
): CpuBoard {
  const { tier = 0, recordBytes = RECORD_BYTES } = options;
  const lowering = new Lowering(memory.arena.view, compiledInterpreter(memory.wide).handlers);
  const decoder = new Decoder({ features: X86_64_V2, vendor: "intel" });
  const code = new CodeCache(memory, lowering, decoder, recordBytes);
  const translator =
    tier === 0
      ? undefined
      : new Translator(memory, code, compiledInterpreter(memory.wide).shapes, tier === "eager");
  return { memory, ports, mmio, code, translator, apics: new ApicBus(), pic: undefined };
}

const HELPERS: readonly (Helper | undefined)[] = OPCODES.map((entry) => {
  return helpers[semanticsName(entry)];
});

const NEEDS_PROTECTED = 1;
const NEEDS_CPL0 = 2;
/** CLAC and STAC are invalid rather than forbidden outside privilege level 0. */
const INVALID_OUTSIDE_CPL0 = 4;

const RESTRICTIONS: readonly number[] = OPCODES.map(({ mnemonic, cpl0, protectedMode }) => {
  const mode = protectedMode ? NEEDS_PROTECTED : 0;
  if (/^(clac|stac)$/.test(mnemonic)) return mode | INVALID_OUTSIDE_CPL0;
  return mode | (cpl0 ? NEEDS_CPL0 : 0);
});

/** One x86-64 processor that runs guest code. */
export class Vcpu extends Core {
  readonly #op: MicroOp;
  readonly #run: (budget: number) => number;
  #budget = 0;

  constructor(board: CpuBoard, options: CoreOptions = {}) {
    super(board, options);
    const { memory } = board;
    this.#op = new MicroOp(this.view, this.state);
    const host: InterpreterHost = {
      translate: (low, high, request) =>
        this.#guard(() => this.linear.translate(low, high, request), 0),
      finishWrite: () => {
        this.linear.finishWrite();
        this.#endSlice();
      },
      help: (record) => {
        const status = this.#help(record);
        this.#endSlice();
        return status;
      },
      link: (record) => this.#link(record),
      find: (low, high) => this.#find(low, high),
      refresh: (record) => this.#refresh(record),
      segmentFault: (field, offset, request) => this.#segmentFault(field, offset, request),
      hot: (record) => this.#hot(record),
    };
    const { translator } = board;
    const initial = translator === undefined ? 0 : MOST_REGIONS;
    const table = new WebAssembly.Table({ element: "anyfunc", initial });
    translator?.attach({ state: this.state, table });
    const bounce = new WebAssembly.Global({ value: "i64" }, BigInt(this.linear.bounce));
    const { wasm: ram, arena } = memory;
    const env = { memory: arena.wasm, ram, state: this.state, bounce, regions: table, ...host };
    const { module, instantiated } = compiledInterpreter(memory.wide);
    const instance = new WebAssembly.Instance(module, { env });
    instantiated?.(instance);
    this.#run = instance.exports["run"] as (budget: number) => number;
  }

  /**
   * Runs at most `budget` instructions, taking interrupts and delivering exceptions, until something ends it.
   */
  run(budget: number): VcpuExit {
    let end = this.instructions + budget;
    this.setU32(State.InterruptWaiting, 1);
    for (;;) {
      if (this.shutdown) return "shutdown";
      if (this.waitingForStartup) return "wait";
      const shadowed = this.shadow;
      this.shadow = false;
      if (!shadowed) this.#takeInterrupt();
      this.#trapTask();
      if (this.halted) return "halt";
      if (this.yields) {
        this.yields = false;
        return "yield";
      }
      const left = end - this.instructions;
      if (left <= 0) {
        this.board.translator?.poll();
        return "budget";
      }
      const stepping = this.u32(State.SystemFlags) & (Flag.Tf | Flag.Rf);
      if (stepping === 0 && !this.breakpointsEnabled) {
        this.#handle(this.runSlice(shadowed ? 1 : Math.min(left, MOST_IN_ONE_SLICE)));
      } else this.#step(stepping);
      this.#trapTask();
      // An exception counts as an instruction: a handler may fault for ever.
      if (end - this.instructions === left) end--;
      if (this.attention) {
        this.attention = false;
        if (this.stopRequested) {
          this.stopRequested = false;
          return "stop";
        }
      }
    }
  }

  /** Whether an event waits that would end HLT now. */
  get interruptible(): boolean {
    if (this.nmiPending && !this.nmiBlocked) return true;
    if ((this.u32(State.SystemFlags) & Flag.If) === 0) return false;
    const external = this.board.pic?.pending() === true && this.apic.acceptsExternal;
    return (external && this.id === 0) || this.apic.pending() >= 0;
  }

  /** Has `run` return "stop" at the next instruction boundary that it looks at. */
  requestStop(): void {
    this.stopRequested = true;
    this.wake();
  }

  protected stopRequested = false;

  #handle(status: number): void {
    if (status !== RunStatus.Fault) return;
    const vector = this.u32(State.FaultVector);
    const error = this.view.getInt32(this.state + State.FaultError, true);
    if (!deliver(this, vector, error, "exception")) this.shutdown = true;
  }

  /** One instruction with the debug exceptions around it (Intel SDM vol. 3, 18.3). */
  #step(flags: number): void {
    const resumed = (flags & Flag.Rf) !== 0;
    if (this.breakpointsEnabled && !resumed && this.#codeBreakpoint()) {
      this.#debugException(0);
      return;
    }
    this.breakpointsMet = 0;
    this.entered = false;
    const before = this.instructions;
    const status = this.runSlice(1);
    this.#handle(status);
    const completed = this.instructions > before;
    if (!completed || status === RunStatus.Fault) return;
    // Entering a task loads its own RF.
    if (resumed && !this.entered) {
      this.setU32(State.SystemFlags, this.u32(State.SystemFlags) & ~Flag.Rf);
    }
    const step = (flags & Flag.Tf) !== 0 && !this.shadow && !this.entered ? 0x4000 : 0;
    if (step !== 0 || this.breakpointsMet !== 0) this.#debugException(step | this.breakpointsMet);
  }

  /** Whether an enabled instruction breakpoint is at rip; notes it in DR6. */
  #codeBreakpoint(): boolean {
    const dr7 = this.u32(State.DebugRegisters + 7 * 8);
    const linear = this.linear.long
      ? this.rip
      : (this.rip + this.u64(State.CodeBase)) & 0xffffffffn;
    let met = 0;
    for (let i = 0; i < 4; i++) {
      const enabled = ((dr7 >> (i * 2)) & 3) !== 0;
      const executes = ((dr7 >>> (16 + i * 4)) & 3) === 0;
      if (enabled && executes && this.u64(State.DebugRegisters + i * 8) === linear) met |= 1 << i;
    }
    if (met === 0) return false;
    const dr6 = State.DebugRegisters + 6 * 8;
    this.setU32(dr6, (this.u32(dr6) & ~15) | met);
    return true;
  }

  #debugException(dr6Bits: number): void {
    const dr6 = State.DebugRegisters + 6 * 8;
    this.setU32(dr6, this.u32(dr6) | dr6Bits);
    if (!deliver(this, Vector.Debug, -1, "exception")) this.shutdown = true;
  }

  /** The debug exception that a new task's TSS asks for (Intel SDM vol. 3, 18.3.1.5). */
  #trapTask(): void {
    if (!this.taskTrap) return;
    this.taskTrap = false;
    this.#debugException(TASK_TRAP);
  }

  /** Delivers the most urgent event that may come in now (Intel SDM vol. 3, 6.9). */
  #takeInterrupt(): void {
    if (this.u32(State.InterruptWaiting) === 0 && !this.nmiPending) return;
    if (this.nmiPending && !this.nmiBlocked) {
      this.nmiPending = false;
      this.nmiBlocked = true;
      this.#interrupt(Vector.Nmi);
      return;
    }
    if ((this.u32(State.SystemFlags) & Flag.If) === 0) return;
    const { pic } = this.board;
    if (pic?.pending() === true && this.apic.acceptsExternal && this.id === 0) {
      this.#interrupt(pic.acknowledge());
      return;
    }
    const vector = this.apic.pending();
    if (vector < 0) {
      this.setU32(State.InterruptWaiting, 0);
      return;
    }
    this.apic.acknowledge(vector);
    this.#interrupt(vector);
  }

  #interrupt(vector: number): void {
    this.halted = false;
    if (!deliver(this, vector, -1, "external")) this.shutdown = true;
  }

  /** Runs at most `budget` instructions of guest code; what stops it is handled by the caller. */
  runSlice(budget: number): number {
    this.#budget = budget;
    const status = this.#run(budget);
    this.instructions += this.#budget - this.u32(State.Remaining);
    this.#budget = 0;
    if (status === RunStatus.Fault && this.linear.nonCanonical !== undefined) this.#stackFault();
    return status;
  }

  /** Something that the instruction did wants a look at interrupts: the slice ends behind it. */
  #endSlice(): void {
    if (!this.attention) return;
    this.#budget -= this.u32(State.Remaining);
    this.setU32(State.Remaining, 0);
  }

  /** Makes the #GP of a non-canonical address #SS where the access was one to the stack. */
  #stackFault(): void {
    const address = this.linear.nonCanonical as bigint;
    this.linear.nonCanonical = undefined;
    if (this.u32(State.FaultVector) !== Vector.GeneralProtection) return;
    const low = this.view.getInt32(this.state + State.Rip, true);
    const high = this.view.getInt32(this.state + State.Rip + 4, true);
    const op = this.#op;
    op.record = this.#find(low, high);
    if (op.record === 0) return;
    if (op.entryId === PseudoEntry.Straddle) {
      op.record = this.#guard(() => this.#straddle(low, high), 0);
    }
    if (op.record === 0 || op.entryId >= OPCODES.length) return;
    // The record that computes an address may lack the segment; the instruction's own follows it.
    const { entryId, inPage } = op;
    op.record += Record.Length;
    if (op.entryId !== entryId || op.inPage !== inPage) op.record -= Record.Length;
    if (isStackAccess(this, op, address)) this.setU32(State.FaultVector, Vector.StackFault);
  }

  /** Instructions executed, counting those of the slice that is running. */
  override get instructionsNow(): number {
    if (this.#budget === 0) return this.instructions;
    return this.instructions + this.#budget - this.u32(State.Remaining);
  }

  #guard(act: () => number, failed: number): number {
    try {
      return act();
    } catch (fault) {
      return this.#note(fault, failed);
    }
  }

  /** Notes an exception of the guest in the state; whatever else was thrown goes on. */
  #note(fault: unknown, answer: number): number {
    if (!(fault instanceof GuestFault)) throw fault;
    this.setU32(State.FaultVector, fault.vector);
    this.setU32(State.FaultError, fault.errorCode);
    return answer;
  }

  #help(record: number): number {
    const op = this.#op;
    op.record = record;
    const id = op.entryId;
    try {
      const helper = HELPERS[id];
      if (helper !== undefined) {
        this.#checkAllowed(RESTRICTIONS[id] as number);
        const { codeMode } = this;
        const status = helper(this, op) ?? HelperStatus.Next;
        if (status !== HelperStatus.Next || codeMode === this.codeMode) return status;
        // What follows is to be run as code of the mode that is now.
        this.rip = this.nextRip(op);
        return HelperStatus.Jump;
      }
      if (id === PseudoEntry.TooLong) raise(Vector.GeneralProtection, 0);
      if (id === PseudoEntry.NoDevice) raise(Vector.NoDevice);
      return raise(Vector.InvalidOpcode);
    } catch (fault) {
      return this.#note(fault, HelperStatus.Fault);
    }
  }

  /** Modes and privilege that an instruction needs before anything else is looked at. */
  #checkAllowed(restrictions: number): void {
    if (restrictions === 0) return;
    if ((restrictions & NEEDS_PROTECTED) !== 0 && isReal(this)) raise(Vector.InvalidOpcode);
    if (this.cpl === 0) return;
    if ((restrictions & INVALID_OUTSIDE_CPL0) !== 0) raise(Vector.InvalidOpcode);
    if ((restrictions & NEEDS_CPL0) !== 0) raise(Vector.GeneralProtection, 0);
  }

  /** Has a block that was entered often translated. */
  #hot(record: number): void {
    const { kind, tlb } = this.linear;
    this.board.translator?.hot(record, this.u64(State.RipPage), (rip) => {
      const low = Number(rip & 0xffffffffn) | 0;
      return tlb.probe(kind, low, Number(rip >> 32n) | 0, 2);
    });
  }

  #find(low: number, high: number): number {
    this.view.setInt32(this.state + State.Rip, low, true);
    this.view.setInt32(this.state + State.Rip + 4, high, true);
    return this.#guard(() => this.#locate(low, high, 1), 0);
  }

  /**
   * The record of the instruction at rip, found or decoded.
   * @param bytes how many of its bytes must lie inside the code segment.
   */
  #locate(ripLow: number, ripHigh: number, bytes: number): number {
    let low = ripLow;
    let high = ripHigh;
    let room = PAGE_BYTES;
    if (this.linear.long) {
      const top = high >> 15;
      if (top !== 0 && top !== -1) raise(Vector.GeneralProtection, 0);
    } else {
      const limit = this.u32(this.segmentAt(Segment.Cs, SegmentField.Limit));
      if ((low >>> 0) + bytes - 1 > limit) raise(Vector.GeneralProtection, 0);
      room = limit - (low >>> 0) + 1;
      low = (low + this.u32(State.CodeBase)) | 0;
      high = 0;
    }
    const offset = this.linear.fetch(low, high);
    if (offset < 0) raise(Vector.InvalidOpcode);
    this.#setRipPage(ripLow, ripHigh, low & 0xfff);
    const { code } = this.board;
    if (room >= PAGE_BYTES - (low & 0xfff)) return code.find(this.codeMode, offset);
    const single = code.single(this.codeMode, offset, room);
    if (single === 0) raise(Vector.GeneralProtection, 0);
    return single;
  }

  /** Notes rip less the offset of the instruction in its page. */
  #setRipPage(ripLow: number, ripHigh: number, inPage: number): void {
    const borrow = ripLow >>> 0 < inPage ? 1 : 0;
    this.view.setInt32(this.state + State.RipPage, ripLow - inPage, true);
    this.view.setInt32(this.state + State.RipPage + 4, ripHigh - borrow, true);
  }

  #link(record: number): number {
    const target =
      (this.u64(State.RipPage) + this.view.getBigInt64(record + Record.Immediate, true)) &
      this.u64(State.RipMask);
    const generation = this.board.code.generation;
    const found = this.#find(Number(target & 0xffffffffn) | 0, Number(target >> 32n) | 0);
    if (found !== 0 && this.board.code.generation === generation) {
      this.board.code.link(record, found);
    }
    return found;
  }

  /** Another record for one whose bytes changed, or which lies in two pages. */
  #refresh(record: number): number {
    const inPage = this.view.getUint16(record + Record.Offset, true);
    const pageLow = this.view.getUint32(this.state + State.RipPage, true);
    const pageHigh = this.view.getInt32(this.state + State.RipPage + 4, true);
    const sum = pageLow + inPage;
    const long = this.linear.long;
    const low = (sum & this.view.getInt32(this.state + State.RipMask, true)) | 0;
    const high = long ? (pageHigh + (sum > 0xffffffff ? 1 : 0)) | 0 : 0;
    this.view.setInt32(this.state + State.Rip, low, true);
    this.view.setInt32(this.state + State.Rip + 4, high, true);
    if (this.view.getUint16(record + Record.Entry, true) === PseudoEntry.Straddle) {
      return this.#guard(() => this.#straddle(low, high, record), 0);
    }
    const { code } = this.board;
    const { generation } = code;
    const found = this.#guard(() => this.#locate(low, high, 1), 0);
    if (found !== 0 && this.codeMode.flat && code.generation === generation) {
      code.forward(record, found);
    }
    return found;
  }

  /**
   * The record of an instruction that begins in one page and ends in the next.
   * @param standIn the record in its place in a block: where CS is flat the interpreter finds the other by it from now on.
   */
  #straddle(ripLow: number, ripHigh: number, standIn = 0): number {
    const { memory, code } = this.board;
    const { linear } = this;
    const low = linear.long ? ripLow : (ripLow + this.u32(State.CodeBase)) | 0;
    const head = 4096 - (low & 0xfff);
    const nextLow = (low + head) | 0;
    const nextHigh = linear.long && nextLow === 0 ? (ripHigh + 1) | 0 : ripHigh;
    const first = linear.fetch(low, linear.long ? ripHigh : 0);
    const second = linear.fetch(nextLow, linear.long ? nextHigh : 0);
    if (first < 0 || second < 0) raise(Vector.InvalidOpcode);
    this.#setRipPage(ripLow, ripHigh, low & 0xfff);
    const known = code.straddle(this.codeMode, first);
    const { generation } = code;
    let found = known?.second === second ? known.record : 0;
    if (found === 0) {
      const bytes = new Uint8Array(head + 15);
      bytes.set(memory.bytes.subarray(first, first + head));
      bytes.set(memory.bytes.subarray(second, second + 15), head);
      found = code.straddling(this.codeMode, first, second, bytes);
    }
    const flat = linear.long || this.codeMode.flat;
    if (standIn !== 0 && flat && code.generation === generation) {
      this.view.setBigUint64(standIn + Record.Immediate, BigInt(second), true);
      code.link(standIn, found);
    }
    return found;
  }

  #segmentFault(field: number, offset: number, request: number): number {
    return this.#guard(() => this.checkSegment(field >> 5, offset >>> 0, request), 1);
  }
}
