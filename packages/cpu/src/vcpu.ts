import { createMmioBus, createPortBus } from "@queztl/memory";
import type { Bus, GuestMemory } from "@queztl/memory";
import { Core } from "./core.ts";
import type { CoreOptions, CpuBoard } from "./core.ts";
import { Decoder } from "./decode/decoder.ts";
import { CodeCache } from "./execute/code-cache.ts";
import { GuestFault, Vector, raise } from "./execute/guest-fault.ts";
import type { Helper } from "./execute/helper.ts";
import { Lowering, PseudoEntry } from "./execute/lower.ts";
import { MicroOp } from "./execute/micro-op.ts";
import { enumerateShapes } from "./interpreter/enumerate.ts";
import { buildInterpreter } from "./interpreter/interpreter.ts";
import type { Interpreter, InterpreterHost } from "./interpreter/interpreter.ts";
import { semanticsName } from "./interpreter/shapes.ts";
import { X86_64_V2 } from "./isa/features.ts";
import { OPCODES } from "./isa/opcodes.ts";
import { Segment, SegmentField, State } from "./state/layout.ts";
import { Record } from "./state/record.ts";
import { HelperStatus } from "./state/status.ts";
import { helpers } from "./system/helpers.ts";

/** Arena of guest memory that the shared decoded code takes, and each vCPU, in bytes. */
export const CODE_ARENA_BYTES = 32 * 1024 * 1024;
export const VCPU_ARENA_BYTES = 512 * 1024;
const RECORD_BYTES = 24 * 1024 * 1024;

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

/**
 * Makes the parts that the vCPUs of one machine share. The memory needs an arena of `CODE_ARENA_BYTES` and
 * `VCPU_ARENA_BYTES` more for each vCPU.
 */
export function createBoard(
  memory: GuestMemory,
  ports: Bus = createPortBus(),
  mmio: Bus = createMmioBus(),
): CpuBoard {
  const lowering = new Lowering(memory.view, interpreter().handlers);
  const decoder = new Decoder({ features: X86_64_V2, vendor: "intel" });
  return { memory, ports, mmio, code: new CodeCache(memory, lowering, decoder, RECORD_BYTES) };
}

const HELPERS: readonly (Helper | undefined)[] = OPCODES.map((entry) => {
  return helpers[semanticsName(entry)];
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
  override get instructionsNow(): number {
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
    return this.board.code.find(this.codeMode, offset);
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
    return code.straddling(this.codeMode, first, second, bytes);
  }

  #segmentFault(field: number, offset: number, request: number): number {
    return this.#guard(() => this.checkSegment(field >> 5, offset >>> 0, request), 1);
  }
}
