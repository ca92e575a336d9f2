import { createMmioBus, createPortBus } from "@queztl/memory";
import type { Bus, GuestMemory } from "@queztl/memory";
import { Decoder } from "./decode/decoder.ts";
import { CodeCache } from "./execute/code-cache.ts";
import type { CodeMode } from "./execute/code-cache.ts";
import { GuestFault, Vector, raise } from "./execute/guest-fault.ts";
import type { Helper } from "./execute/helper.ts";
import { LinearMemory } from "./execute/linear-memory.ts";
import { Lowering, PseudoEntry } from "./execute/lower.ts";
import { MicroOp } from "./execute/micro-op.ts";
import { enumerateShapes } from "./interpreter/enumerate.ts";
import { buildInterpreter } from "./interpreter/interpreter.ts";
import type { Interpreter, InterpreterHost } from "./interpreter/interpreter.ts";
import { semanticsName } from "./interpreter/shapes.ts";
import { OPCODES } from "./isa/opcodes.ts";
import { X86_64_V2 } from "./isa/features.ts";
import { composeStatusFlags, splitStatusFlags } from "./semantics/flags.ts";
import { Flag, STATUS_FLAGS, Segment, SegmentField, State } from "./state/layout.ts";
import { Record } from "./state/record.ts";
import { HelperStatus } from "./state/status.ts";
import { helpers } from "./system/helpers.ts";

/** How much of the memory's arena one vCPU and the shared decoded code take, in bytes. */
export const ARENA_BYTES = 48 * 1024 * 1024;
const CODE_BYTES = 24 * 1024 * 1024;

/** What vCPUs of one machine share: memory, buses and decoded code. */
export interface CpuBoard {
  readonly memory: GuestMemory;
  readonly ports: Bus;
  readonly mmio: Bus;
  readonly code: CodeCache;
}

interface Compiled {
  readonly module: WebAssembly.Module;
  readonly handlers: ReadonlyMap<string, number>;
}

let compiled: Compiled | undefined;

/** The interpreter is the same for every machine: written and compiled once. */
function interpreter(): Compiled {
  if (compiled === undefined) {
    const built: Interpreter = buildInterpreter(enumerateShapes(), 65536);
    compiled = { module: new WebAssembly.Module(built.bytes), handlers: built.handlers };
  }
  return compiled;
}

/** Makes the parts that the vCPUs of one machine share. The memory needs an arena of `ARENA_BYTES` and a little more for each vCPU. */
export function createBoard(
  memory: GuestMemory,
  ports: Bus = createPortBus(),
  mmio: Bus = createMmioBus(),
): CpuBoard {
  const lowering = new Lowering(memory.view, interpreter().handlers);
  const decoder = new Decoder({ features: X86_64_V2, vendor: "intel" });
  return { memory, ports, mmio, code: new CodeCache(memory, lowering, decoder, CODE_BYTES) };
}

const HELPERS: readonly (Helper | undefined)[] = OPCODES.map((entry) => {
  return helpers[semanticsName(entry)];
});

/** One x86-64 processor: its state lives in the arena of guest memory, where generated code works on it. */
export class Vcpu {
  readonly board: CpuBoard;
  /** Offset of the state in the WebAssembly memory. */
  readonly state: number;
  readonly view: DataView;
  /** rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 … r15. */
  readonly registers: BigUint64Array;
  readonly linear: LinearMemory;
  /** Instructions executed since reset. */
  instructions = 0;

  readonly #op: MicroOp;
  readonly #run: (budget: number) => number;
  #codeMode: CodeMode;
  #budget = 0;

  constructor(board: CpuBoard) {
    this.board = board;
    const { memory, code } = board;
    this.state = memory.allocate(State.Length, 4096);
    this.view = memory.view;
    this.registers = new BigUint64Array(memory.bytes.buffer, this.state, 16);
    this.linear = new LinearMemory(board, this.state);
    this.#op = new MicroOp(this.view, this.state);
    const host: InterpreterHost = {
      translate: (low, high, request) =>
        this.#guard(() => this.linear.translate(low, high, request), 0),
      finishWrite: () => this.linear.finishWrite(),
      help: (record) => this.#help(record),
      link: (record) => this.#link(record),
      find: (low, high) => this.#find(low, high),
      refresh: (record) => this.#refresh(record),
      segmentFault: (field, offset, request) => this.#segmentFault(field, offset, request),
    };
    const env = { memory: memory.wasm, state: this.state, ...host };
    const instance = new WebAssembly.Instance(interpreter().module, { env });
    this.#run = instance.exports["run"] as (budget: number) => number;
    code.onProtect = (page) => this.linear.tlb.forbidPageWrites(page);
    memory.onProtect(() => this.linear.tlb.forbidWrites());
    this.#codeMode = code.mode(16, false, { x87: 0, mmx: 0, sse: 0 });
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
    const cr3 = this.u64(State.Cr3);
    paging.root = Number(cr3 & 0xfffffff000n);
    if (paging.levels === 3) paging.root = Number(cr3 & 0xffffffe0n);
    const ac = (this.u32(State.SystemFlags) & Flag.Ac) !== 0;
    const cpl = this.cpl;
    linear.long = long;
    linear.user = cpl === 3;
    linear.strict = paging.smap && !ac;
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
    this.setU64(State.RipMask, long ? 0xffffffffffffffffn : big ? 0xffffffffn : 0xffffn);
    this.setU64(State.StackMask, stackBig && !virtual8086 ? 0xffffffffn : 0xffffn);
    this.setU32(State.Tlb, linear.tlb.table(linear.kind));
    const em = (cr0 & 4) !== 0;
    const ts = (cr0 & 8) !== 0;
    const noDevice = PseudoEntry.NoDevice;
    const invalid = PseudoEntry.InvalidOpcode;
    const osfxsr = (cr4 & 0x200) !== 0;
    this.#codeMode = this.board.code.mode(mode, flat, {
      x87: em || ts ? noDevice : 0,
      mmx: em ? invalid : ts ? noDevice : 0,
      sse: em || !osfxsr ? invalid : ts ? noDevice : 0,
    });
    this.setU32(State.Jumps, this.#codeMode.jumps);
  }

  /** Runs at most `budget` instructions of guest code; what stops it is handled by the caller. */
  runSlice(budget: number): number {
    this.#budget = budget;
    const status = this.#run(budget);
    this.instructions += budget - this.u32(State.Remaining);
    this.#budget = 0;
    return status;
  }

  /** Instructions executed, counting those of the slice that is running. */
  get instructionsNow(): number {
    if (this.#budget === 0) return this.instructions;
    return this.instructions + this.#budget - this.u32(State.Remaining);
  }

  #guard(act: () => number, failed: number): number {
    try {
      return act();
    } catch (fault) {
      if (!(fault instanceof GuestFault)) throw fault;
      this.setU32(State.FaultVector, fault.vector);
      this.setU32(State.FaultError, fault.errorCode);
      return failed;
    }
  }

  #help(record: number): number {
    return this.#guard(() => {
      const op = this.#op;
      op.record = record;
      const id = op.entryId;
      const helper = HELPERS[id];
      if (helper !== undefined) return helper(this, op) ?? HelperStatus.Next;
      if (id === PseudoEntry.TooLong) raise(Vector.GeneralProtection, 0);
      if (id === PseudoEntry.NoDevice) raise(Vector.NoDevice);
      return raise(Vector.InvalidOpcode);
    }, HelperStatus.Fault);
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
    if (this.linear.long) {
      const top = high >> 15;
      if (top !== 0 && top !== -1) raise(Vector.GeneralProtection, 0);
    } else {
      const limit = this.u32(this.segmentAt(Segment.Cs, SegmentField.Limit));
      if ((low >>> 0) + bytes - 1 > limit) raise(Vector.GeneralProtection, 0);
      low = (low + this.u32(State.CodeBase)) | 0;
      high = 0;
    }
    const offset = this.linear.fetch(low, high);
    if (offset < 0) raise(Vector.InvalidOpcode);
    const page = ((BigInt(ripHigh >>> 0) << 32n) | BigInt(ripLow >>> 0)) - BigInt(low & 0xfff);
    this.setU64(State.RipPage, page);
    return this.board.code.find(this.#codeMode, offset);
  }

  #link(record: number): number {
    const target =
      (this.u64(State.RipPage) + this.view.getBigInt64(record + Record.Immediate, true)) &
      this.u64(State.RipMask);
    const generation = this.board.code.generation;
    const found = this.#find(Number(target & 0xffffffffn) | 0, Number(target >> 32n) | 0);
    if (found !== 0 && this.board.code.generation === generation) {
      this.view.setUint32(record + Record.Link, found, true);
    }
    return found;
  }

  /** Another record for one whose bytes changed, or which lies in two pages. */
  #refresh(record: number): number {
    const op = this.#op;
    op.record = record;
    const straddles = op.entryId === PseudoEntry.Straddle;
    const rip = (this.u64(State.RipPage) + BigInt(op.inPage)) & this.u64(State.RipMask);
    this.rip = rip;
    const low = Number(rip & 0xffffffffn) | 0;
    const high = Number(rip >> 32n) | 0;
    if (!straddles) return this.#guard(() => this.#locate(low, high, 1), 0);
    return this.#guard(() => this.#straddle(rip), 0);
  }

  #straddle(rip: bigint): number {
    const { memory, code } = this.board;
    const linear = this.linear.long ? rip : (rip + this.u64(State.CodeBase)) & 0xffffffffn;
    const low = Number(linear & 0xffffffffn) | 0;
    const high = Number(linear >> 32n) | 0;
    const head = 4096 - (low & 0xfff);
    const next = BigInt.asUintN(this.linear.long ? 64 : 32, linear + BigInt(head));
    const first = this.linear.fetch(low, high);
    const second = this.linear.fetch(Number(next & 0xffffffffn) | 0, Number(next >> 32n) | 0);
    if (first < 0 || second < 0) raise(Vector.InvalidOpcode);
    const bytes = new Uint8Array(head + 15);
    bytes.set(memory.bytes.subarray(first, first + head));
    bytes.set(memory.bytes.subarray(second, second + 15), head);
    this.setU64(State.RipPage, rip - BigInt(low & 0xfff));
    return code.straddling(this.#codeMode, first, second, bytes);
  }

  #segmentFault(field: number, offset: number, request: number): number {
    return this.#guard(() => this.checkSegment(field >> 5, offset >>> 0, request), 1);
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
