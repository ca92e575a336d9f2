import type {
  FlagOperation,
  InstructionContext,
  OperandShape,
  Shape,
  Width,
} from "../semantics/context.ts";
import { setWordsOf } from "../semantics/flags.ts";
import { usualCount } from "../semantics/float-lanes.ts";
import { eq, eqz, toI32, toI64, zeroExtend } from "../semantics/integer-ops.ts";
import { notesTargets } from "./shapes.ts";
import { placeOf } from "../paging/place.ts";
import { Segment, SegmentCheck, SegmentField, State, TlbEntry } from "../state/layout.ts";
import { JumpTargets, Record } from "../state/record.ts";
import { call, f32, f64, i32, i64, select, v128 } from "../wasm/index.ts";
import type {
  Callee,
  Expr,
  F32,
  F64,
  FunctionBuilder,
  I32,
  I64,
  Int,
  Local,
  Place,
  V128,
} from "../wasm/index.ts";

/** Functions that handlers call; all but `segment` are the host's. */
export interface Callees {
  /**
   * (linear low, linear high, bytes | access << 8) → offset in the memory, or 0 with a fault pending; an f64 where
   * offsets have more than 32 bits.
   */
  readonly translate: Callee;
  /** (offset): completes a write to the bounce buffer. */
  readonly finishWrite: Callee;
  /** (record) → `HelperStatus`. */
  readonly help: Callee;
  /** (record) → record of a relative branch's target, or 0 to leave. */
  readonly link: Callee;
  /** (segment field offset, offset in segment, bytes | write << 8) → linear address, or −1 with a fault pending. */
  readonly segment: Callee;
}

/** How a handler ends; each leaves the handler's code. */
export interface Exits {
  next(): void;
  fault(): void;
  again(): void;
  jump(rip: I64): void;
  /** A relative branch inside the page. */
  branch(): void;
  /** A relative branch in 64-bit code that may lead into another page. */
  far(rip: I64): void;
  help(): void;
  /** Makes the instruction count visible before the host is called. */
  beforeCall(): void;
  /** After a device was written: takes the instruction count back, which the host may have cut. */
  afterWrite(): void;
}

/** What a handler finds: the vCPU's state, its record, the address its address record left. */
export interface HandlerPlace {
  readonly f: FunctionBuilder;
  readonly state: I32;
  readonly record: I32;
  readonly operandAddress: Local<"i64">;
  /** The bounce buffer, where it is not in the state but in a second memory with the RAM. */
  readonly bounce?: I64 | undefined;
}

const ACCESS = { read: 0, write: 1, update: 2 } as const;
/** A write of `State.Reach` bytes. */
const ROUND = 3;
const PAGE_MASK = -4096;
const TLB_INDEX_MASK = 0x1ffe0;

/** Lowers descriptions to interpreter handlers: operands are read from the record at run time. */
export class HandlerContext implements InstructionContext {
  readonly shape: Shape;
  readonly f: FunctionBuilder;
  readonly #place: HandlerPlace;
  readonly #callees: Callees;
  readonly #exits: Exits;

  constructor(shape: Shape, place: HandlerPlace, callees: Callees, exits: Exits) {
    this.shape = shape;
    this.f = place.f;
    this.#place = place;
    this.#callees = callees;
    this.#exits = exits;
  }

  get(operand: number): Int {
    const shape = this.#operand(operand);
    const width = integerWidth(shape);
    if (shape.class === "memory") return this.load(width, this.address());
    if (shape.class === "immediate") {
      return width === 64
        ? i64.load(this.#place.record, Record.Immediate)
        : zeroExtend(width, i32.load(this.#place.record, Record.Immediate));
    }
    return loadInteger(width, this.#registerAddress(operand), 0);
  }

  set(operand: number, value: Int): void {
    const shape = this.#operand(operand);
    const width = integerWidth(shape);
    if (shape.class === "memory") this.store(width, this.address(), value);
    else this.#storeRegister(width, this.#registerAddress(operand), 0, value);
  }

  update(operand: number, compute: (old: Int) => Int): void {
    const shape = this.#operand(operand);
    const width = integerWidth(shape);
    if (shape.class !== "memory") {
      this.set(operand, this.f.let(compute(this.f.let(this.get(operand)))));
      return;
    }
    const offset = this.f.let(this.translate(this.address(), width / 8, "update"));
    const result = this.f.let(compute(this.f.let(loadInteger(width, offset, 0))));
    storeInteger(this.f, width, offset, result);
    this.finishWrite(offset);
  }

  register(number: number): I64 {
    return i64.load(this.#place.state, State.Registers + number * 8);
  }

  registerPart(number: number, width: Width): Int {
    return loadInteger(width, this.#place.state, State.Registers + number * 8);
  }

  setRegister(number: number, width: Width, value: Int): void {
    this.#storeRegister(width, this.#place.state, State.Registers + number * 8, value);
  }

  address(): I64 {
    return this.#place.operandAddress.get;
  }

  addressMask(): I64 {
    // Sizes holds log2 of the address size in bytes: 1, 2 or 3.
    const code = i32.and(i32.load8_u(this.#place.record, Record.Sizes), i32.const(12));
    const narrow = select(i32.eq(code, i32.const(8)), i64.const(0xffffffffn), i64.const(0xffffn));
    return select(i32.eq(code, i32.const(12)), i64.const(-1), narrow);
  }

  load(width: Width, address: I64): Int {
    return this.f.let(loadInteger(width, this.translate(address, width / 8, "read"), 0));
  }

  store(width: Width, address: I64, value: Int): void {
    const kept = this.f.let(value);
    const offset = this.f.let(this.translate(address, width / 8, "write"));
    storeInteger(this.f, width, offset, kept);
    this.finishWrite(offset);
  }

  translate(address: I64, bytes: number, access: "read" | "write" | "update", reach?: I32): Place {
    const { f } = this;
    const linear = f.let(address);
    const entry = f.let(
      i32.add(
        i32.load(this.#place.state, State.Tlb),
        i32.and(i32.wrap_i64(i64.shr_u(linear, i64.const(7))), i32.const(TLB_INDEX_MASK)),
      ),
    );
    const last = bytes === 1 ? linear : i64.add(linear, i64.const(bytes - 1));
    const tag = i64.load(entry, access === "read" ? TlbEntry.Read : TlbEntry.Write);
    const offset = f.local<"i32" | "i64">(f.wide ? "i64" : "i32");
    f.if(
      i64.eq(tag, i64.and(last, i64.const(PAGE_MASK))),
      () => f.set(offset, placeOf(f, linear, entry)),
      () => {
        this.#exits.beforeCall();
        if (reach !== undefined) this.setState32(State.Reach, reach);
        const kind = reach === undefined ? ACCESS[access] : ROUND;
        const slow = call<"i32" | "f64">(
          this.#callees.translate,
          i32.wrap_i64(linear),
          i32.wrap_i64(i64.shr_u(linear, i64.const(32))),
          i32.const(bytes | (kind << 8)),
        );
        f.set(offset, isF64(slow) ? i64.trunc_f64_s(slow) : toI32(slow as I32));
        f.if(eqz(offset.get), () => this.#exits.fault());
      },
    );
    return offset.get;
  }

  finishWrite(offset: Place): void {
    const { f } = this;
    f.if(eq(offset, this.bounceOffset()), () => {
      f.call(this.#callees.finishWrite);
      this.#exits.afterWrite();
    });
  }

  bounceOffset(): Place {
    return this.#place.bounce ?? i32.add(this.#place.state, i32.const(State.Bounce));
  }

  linear(segment: number | "operand", offset: I64, bytes: number, write: boolean): I64 {
    const { f } = this;
    const field =
      segment === "operand"
        ? i32.load8_u(this.#place.record, Record.Segment)
        : i32.const(segment * SegmentField.Length);
    if (this.shape.long) {
      const flat = segment !== "operand" && segment !== Segment.Fs && segment !== Segment.Gs;
      if (flat) return offset;
      return i64.add(offset, i64.load(i32.add(this.#place.state, field), State.Segments));
    }
    this.#exits.beforeCall();
    const linear = f.let(
      call<"i64">(
        this.#callees.segment,
        field,
        i32.wrap_i64(offset),
        i32.const(bytes | (write ? 0x100 : 0)),
      ),
    );
    f.if(i64.eq(linear, i64.const(-1)), () => this.#exits.fault());
    return linear;
  }

  stackOffset(value: I64): I64 {
    return this.shape.long ? value : i64.and(value, this.state64(State.StackMask));
  }

  isFlat(segment: number | "operand", write: boolean): I32 {
    if (this.shape.long) return i32.const(1);
    const field =
      segment === "operand"
        ? i32.load8_u(this.#place.record, Record.Segment)
        : i32.const(segment * SegmentField.Length);
    return isFlatSegment(this.f.let(i32.add(this.#place.state, field)), write);
  }

  getVector(operand: number, aligned = false): V128 {
    const shape = this.#operand(operand);
    if (shape.class !== "memory") {
      return v128.load(this.#registerAddress(operand), this.#vectorOffset(shape));
    }
    if (aligned) this.#checkAligned();
    return this.f.let(v128.load(this.translate(this.address(), 16, "read")));
  }

  setVector(operand: number, value: V128, aligned = false): void {
    const shape = this.#operand(operand);
    if (shape.class !== "memory") {
      this.f.store.v128(this.#registerAddress(operand), value, this.#vectorOffset(shape));
      return;
    }
    if (aligned) this.#checkAligned();
    const kept = this.f.let(value);
    const offset = this.f.let(this.translate(this.address(), 16, "write"));
    this.f.store.v128(offset, kept);
    this.finishWrite(offset);
  }

  getLow(operand: number, width: 32 | 64): Int {
    const shape = this.#operand(operand);
    if (shape.class === "memory") return this.load(width, this.address());
    return loadInteger(width, this.#registerAddress(operand), this.#vectorOffset(shape));
  }

  setLow(operand: number, width: 32 | 64, value: Int): void {
    const shape = this.#operand(operand);
    if (shape.class === "memory") {
      this.store(width, this.address(), value);
      return;
    }
    const address = this.#registerAddress(operand);
    const offset = this.#vectorOffset(shape);
    if (width === 64) this.f.store.i64(address, toI64(value), offset);
    else this.f.store.i32(address, toI32(value), offset);
    if (shape.class === "mmx") this.f.store.i64(address, i64.const(0xffff), offset + 8);
  }

  getFloat<T extends "f32" | "f64">(operand: number, type: T): Expr<T>;
  getFloat(operand: number, type: "f32" | "f64"): F32 | F64 {
    const load = type === "f64" ? f64.load : f32.load;
    const shape = this.#operand(operand);
    if (shape.class === "memory") {
      return this.f.let<"f32" | "f64">(
        load(this.translate(this.address(), shape.bits / 8, "read")),
      );
    }
    return load(this.#registerAddress(operand), State.Xmm);
  }

  setFloat(operand: number, value: Expr<"f32" | "f64">): void {
    if (this.#operand(operand).class === "memory") {
      const kept = this.f.let(value);
      const bytes = value.type === "f64" ? 8 : 4;
      const offset = this.f.let(this.translate(this.address(), bytes, "write"));
      this.f.storeFloat(offset, kept);
      this.finishWrite(offset);
      return;
    }
    const address = this.#registerAddress(operand);
    this.f.storeFloat(address, value, State.Xmm);
  }

  setFloatAlone(operand: number, value: Expr<"f32" | "f64">): void {
    const kept = this.f.let(value);
    const address = this.#registerAddress(operand);
    this.f.store.i64(address, i64.const(0), State.Xmm);
    this.f.store.i64(address, i64.const(0), State.Xmm + 8);
    this.setFloat(operand, kept);
  }

  isSame(): boolean {
    return false;
  }

  isPlain(): boolean {
    return false;
  }

  notePlain(): void {
    // Nothing is known between handlers.
  }

  usualCount(type: "f32" | "f64"): I32 {
    return usualCount(type, this.state32(State.Mxcsr));
  }

  setState128(offset: number, value: V128): void {
    this.f.store.v128(this.#place.state, value, offset);
  }

  flagResult(): I64 {
    return this.state64(State.FlagResult);
  }

  flagCarries(): I64 {
    return this.state64(State.FlagCarries);
  }

  setFlagCarries(low: I32, high: I32): void {
    if (low.constant === 0 && high.constant === 0) {
      this.setState64(State.FlagCarries, i64.const(0));
      return;
    }
    const kept = this.f.let(high);
    this.setState32(State.FlagCarries, low);
    this.setState32(State.FlagCarries + 4, kept);
  }

  setFlagWords(result: I64, low: I32, high: I32): void {
    const kept = this.f.let(high);
    this.setState64(State.FlagResult, result);
    this.setFlagCarries(low, kept);
  }

  setOperationFlags(operation: FlagOperation, width: Width, a: Int, b: Int, result: Int): void {
    setWordsOf(this, operation, width, a, b, result);
  }

  knownCondition(): undefined {
    return undefined;
  }

  systemFlags(): I32 {
    return this.state32(State.SystemFlags);
  }

  setSystemFlags(value: I32): void {
    this.setState32(State.SystemFlags, value);
  }

  setTlb(offset: I32): void {
    this.setState32(State.Tlb, offset);
  }

  state32(offset: number): I32 {
    return i32.load(this.#place.state, offset);
  }

  state64(offset: number): I64 {
    return i64.load(this.#place.state, offset);
  }

  setState32(offset: number, value: I32): void {
    this.f.store.i32(this.#place.state, value, offset);
  }

  setState64(offset: number, value: I64): void {
    this.f.store.i64(this.#place.state, value, offset);
  }

  stateAddress(offset: I32): I32 {
    return i32.add(this.#place.state, offset);
  }

  x87Opcode(): I32 {
    return i32.load16_u(this.#place.record, Record.Link);
  }

  stackIndex(operand: number): I32 {
    return i32.load8_u(this.#place.record, Record.A + operand);
  }

  operandSegment(): { readonly base: I64; readonly selector: I32 } {
    const { state, record } = this.#place;
    const field = this.f.let(i32.load8_u(record, Record.Segment));
    const isNull = i32.eq(field, i32.const(Segment.Null * SegmentField.Length));
    const named = select(isNull, i32.const(Segment.Ds * SegmentField.Length), field);
    return {
      base: i64.load(i32.add(state, field), State.Segments + SegmentField.Base),
      selector: i32.load16_u(i32.add(state, named), State.Segments + SegmentField.Selector),
    };
  }

  rip(): I64 {
    const inPage = i64.load16_u(this.#place.record, Record.Offset);
    return i64.and(i64.add(this.state64(State.RipPage), inPage), this.state64(State.RipMask));
  }

  nextRip(): I64 {
    const { record } = this.#place;
    const inPage = i32.add(
      i32.load16_u(record, Record.Offset),
      i32.load8_u(record, Record.InstructionLength),
    );
    return this.#masked(i64.add(this.state64(State.RipPage), i64.extend_i32_u(inPage)));
  }

  targetRip(): I64 {
    const target = i64.add(
      this.state64(State.RipPage),
      i64.load(this.#place.record, Record.Immediate),
    );
    if (this.shape.size === 16) return i64.and(target, i64.const(0xffff));
    return this.#masked(target);
  }

  branch(): void {
    if (this.shape.near) this.#exits.branch();
    else if (this.shape.long) this.#exits.far(this.targetRip());
    else this.#exits.jump(this.targetRip());
  }

  jump(rip: I64): void {
    if (notesTargets(this.shape)) this.#noteTarget(rip);
    this.#exits.jump(this.#masked(rip));
  }

  #noteTarget(rip: I64): void {
    const { f } = this;
    const { record } = this.#place;
    const count = f.let(i32.load(record, Record.Link));
    const slot = i32.and(count, i32.const(JumpTargets.Count - 1));
    f.store.i32(i32.add(record, i32.shl(slot, i32.const(2))), i32.wrap_i64(rip), JumpTargets.From);
    f.store.i32(record, i32.add(count, i32.const(1)), Record.Link);
  }

  again(): void {
    this.#exits.again();
  }

  raise(vector: number, errorCode = -1): void {
    this.setState32(State.FaultVector, i32.const(vector));
    this.setState32(State.FaultError, i32.const(errorCode));
    this.#exits.fault();
  }

  help(): void {
    this.#exits.help();
  }

  done(): void {
    this.#exits.next();
  }

  #operand(index: number): OperandShape {
    const shape = this.shape.operands[index];
    if (shape === undefined) throw new RangeError(`${this.shape.key} has no operand ${index}`);
    return shape;
  }

  /** State offset of a register operand, added to the state's own; vectors then add their array's offset. */
  #registerAddress(operand: number): I32 {
    return i32.add(this.#place.state, i32.load8_u(this.#place.record, Record.A + operand));
  }

  #vectorOffset(shape: OperandShape): number {
    return shape.class === "mmx" ? State.Fpu : State.Xmm;
  }

  #storeRegister(width: Width, address: I32, offset: number, value: Int): void {
    const { store } = this.f;
    if (width === 64) store.i64(address, toI64(value), offset);
    else if (width === 32) store.i64(address, i64.extend_i32_u(toI32(value)), offset);
    else if (width === 16) store.i32_16(address, toI32(value), offset);
    else store.i32_8(address, toI32(value), offset);
  }

  #checkAligned(): void {
    const low = i32.and(i32.wrap_i64(this.address()), i32.const(15));
    this.f.if(low, () => this.raise(13, 0));
  }

  #masked(rip: I64): I64 {
    return this.shape.long ? rip : i64.and(rip, this.state64(State.RipMask));
  }
}

/** Whether the segment register whose field lies at an offset behind `at` is flat and allows the access. */
export function isFlatSegment(at: I32, write: boolean): I32 {
  const wanted = i32.const(write ? SegmentCheck.Write : SegmentCheck.Read);
  const allowed = i32.and(i32.load(at, State.Segments + SegmentField.Checks), wanted);
  const noBase = i64.eqz(i64.load(at, State.Segments + SegmentField.Base));
  const noLimit = i32.eq(i32.load(at, State.Segments + SegmentField.Limit), i32.const(-1));
  return i32.and(i32.and(i32.ne(allowed, i32.const(0)), noBase), noLimit);
}

const isF64 = (value: Expr): value is F64 => value.type === "f64";

function integerWidth(shape: OperandShape): Width {
  const { bits } = shape;
  if (bits === 8 || bits === 16 || bits === 32 || bits === 64) return bits;
  throw new RangeError(`an operand of ${bits} bits is no integer`);
}

function loadInteger(width: Width, address: Place, offset: number): Int {
  if (width === 64) return i64.load(address, offset);
  if (width === 32) return i32.load(address, offset);
  return width === 16 ? i32.load16_u(address, offset) : i32.load8_u(address, offset);
}

function storeInteger(f: FunctionBuilder, width: Width, address: Place, value: Int): void {
  if (width === 64) f.store.i64(address, toI64(value));
  else if (width === 32) f.store.i32(address, toI32(value));
  else if (width === 16) f.store.i32_16(address, toI32(value));
  else f.store.i32_8(address, toI32(value));
}
