import { PAGE_BYTES } from "@queztl/memory";
import type {
  FlagOperation,
  InstructionContext,
  OperandShape,
  Shape,
  Width,
} from "../semantics/context.ts";
import { toI32, toI64, zeroExtend } from "../semantics/integer-ops.ts";
import { placeOf, tlbEntryOf } from "../paging/place.ts";
import { isFlatSegment } from "../interpreter/handler-context.ts";
import { Segment, SegmentField, State, TlbEntry } from "../state/layout.ts";
import { Record } from "../state/record.ts";
import { f32, f64, i32, i64, unlikely, v128 } from "../wasm/index.ts";
import type {
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
import type { RegionControl } from "./region-control.ts";
import { sameFlags } from "./region-flags.ts";
import type { KnownFlags, RegionFlags } from "./region-flags.ts";
import { FLAT_FIELDS, cut, narrowAddress } from "./narrow-address.ts";
import type { RegionPages } from "./region-pages.ts";
import type { RegionVectors } from "./region-vectors.ts";

/** What a region's instructions share: the function, the registers in locals, the flags. */
export interface RegionFrame {
  readonly f: FunctionBuilder;
  /** 32-bit code, with flat segments but for FS and GS (`CodeMode.flatData`); else it is 64-bit code. */
  readonly narrow: boolean;
  readonly state: I32;
  /** Offset of the TLB that serves now. */
  readonly tlb: Local<"i32">;
  /** rip less the offset in the page, of the block that is running. */
  readonly ripPage: Local<"i64">;
  readonly flags: RegionFlags;
  readonly vectors: RegionVectors;
  readonly pages: RegionPages;
  register(number: number): Local<"i64">;
  readonly control: RegionControl;
}

/** The limit of CS. */
const CODE_LIMIT = State.Segments + Segment.Cs * SegmentField.Length + SegmentField.Limit;

/** Where the current instruction's code goes on or leaves the region. */
export interface RegionExits {
  /** The instruction is done. */
  done(): void;
  /** Leaves before the instruction: the interpreter does it. */
  interpret(): void;
  again(): void;
  jump(rip: I64): void;
  branch(): void;
}

/** Where an instruction's operands are. */
export interface RegionOperand {
  readonly record: number;
  /** Of the memory operand. */
  readonly address: I64;
  /** What is read there is soon written, whatever happens. */
  readonly writes: boolean;
}

/**
 * Lowers one instruction to a part of a region: operands are constants, registers are locals written through to
 * the state. What the interpreter would ask the host for is left to it: the region never calls out.
 */
export class RegionContext implements InstructionContext {
  readonly shape: Shape;
  readonly f: FunctionBuilder;
  readonly #frame: RegionFrame;
  readonly #view: DataView;
  readonly #record: number;
  readonly #address: I64;
  readonly #writes: boolean;
  readonly #exits: RegionExits;
  readonly #depth: number;
  /** Flags may differ by the path taken through the instruction. */
  #flagsVary = false;
  readonly #knownAtDone: KnownFlags[] = [];
  readonly #written = new Set<number>();

  constructor(
    shape: Shape,
    frame: RegionFrame,
    view: DataView,
    { record, address, writes }: RegionOperand,
    exits: RegionExits,
  ) {
    this.shape = shape;
    this.f = frame.f;
    this.#frame = frame;
    this.#view = view;
    this.#record = record;
    this.#address = address;
    this.#writes = writes;
    this.#exits = exits;
    this.#depth = frame.f.depth;
  }

  /** To be called behind the description: what is known of the flags where its paths meet. */
  finish(): void {
    const { flags } = this.#frame;
    const { known } = flags;
    if (this.#flagsVary || this.#knownAtDone.some((other) => !sameFlags(other, known))) {
      flags.known = undefined;
    }
    if (this.#knownAtDone.length === 0) return;
    for (const number of this.#written) this.#frame.pages.moved(number, undefined);
  }

  /** Whether what is written here is done on every way through the instruction. */
  get #onAllWays(): boolean {
    return this.f.depth <= this.#depth && this.#knownAtDone.length === 0;
  }

  get(operand: number): Int {
    const shape = this.#operand(operand);
    const width = shape.bits as Width;
    if (shape.class === "memory") return this.load(width, this.address());
    if (shape.class === "immediate") {
      const value = this.#view.getBigInt64(this.#record + Record.Immediate, true);
      if (width === 64) return i64.const(value);
      const bits =
        width === 32 ? Number(BigInt.asIntN(32, value)) : Number(BigInt.asUintN(width, value));
      return i32.const(bits);
    }
    return this.#read(this.#field(operand), width);
  }

  set(operand: number, value: Int): void {
    const shape = this.#operand(operand);
    const width = shape.bits as Width;
    if (shape.class === "memory") this.store(width, this.address(), value);
    else this.#write(this.#field(operand), width, value);
  }

  update(operand: number, compute: (old: Int) => Int): void {
    const shape = this.#operand(operand);
    const width = shape.bits as Width;
    if (shape.class !== "memory") {
      this.set(operand, this.f.let(compute(this.f.let(this.get(operand)))));
      return;
    }
    const place = this.translate(this.address(), width / 8, "update");
    const result = this.f.let(compute(this.f.let(loadInteger(width, place))));
    storeInteger(this.f, width, place, result);
  }

  register(number: number): I64 {
    return this.#frame.register(number).get;
  }

  registerPart(number: number, width: Width): Int {
    return this.#read(number * 8, width);
  }

  setRegister(number: number, width: Width, value: Int): void {
    this.#write(number * 8, width, value);
  }

  address(): I64 {
    return this.#address;
  }

  addressMask(): I64 {
    const code = this.#view.getUint8(this.#record + Record.Sizes) & 12;
    return i64.const(code === 12 ? -1n : code === 8 ? 0xffffffffn : 0xffffn);
  }

  load(width: Width, address: I64): Int {
    return this.f.let(loadInteger(width, this.translate(address, width / 8, "read")));
  }

  store(width: Width, address: I64, value: Int): void {
    const kept = this.f.let(value);
    const place = this.translate(address, width / 8, "write");
    storeInteger(this.f, width, place, kept);
  }

  translate(address: I64, bytes: number, access: "read" | "write" | "update"): Place {
    const { f } = this;
    const { pages } = this.#frame;
    const linear = f.let(address);
    const write = access !== "read" || (this.#writes && address === this.#address);
    const known = pages.find(linear, bytes, write, this.#onAllWays);
    if (known !== undefined) {
      for (const holds of known.checks)
        f.if(unlikely(i32.eqz(holds)), () => this.#exits.interpret());
      return f.let(known.place);
    }
    const entry = f.let(tlbEntryOf(this.#frame.tlb.get, linear));
    const tag = i64.load(entry, write ? TlbEntry.Write : TlbEntry.Read);
    // The distance from the page's first byte, if the entry is that page's.
    const distance = f.let(i64.xor(linear, tag));
    f.if(unlikely(i64.gt_u(distance, i64.const(PAGE_BYTES - bytes))), () =>
      this.#exits.interpret(),
    );
    const place = f.let(placeOf(f, linear, entry));
    if (this.#onAllWays) pages.note(linear, bytes, write, place);
    return place;
  }

  finishWrite(): void {
    // Only what goes straight to RAM is done here.
  }

  bounceOffset(): Place {
    return this.f.wide ? i64.const(0) : i32.const(0);
  }

  linear(segment: number | "operand", offset: I64, bytes: number, write: boolean): I64 {
    const field =
      segment === "operand"
        ? this.#view.getUint8(this.#record + Record.Segment)
        : segment * SegmentField.Length;
    const number = field / SegmentField.Length;
    if (this.#frame.narrow) {
      const access = { bytes, write };
      return narrowAddress(this.#frame, field, offset, access, () => this.#exits.interpret());
    }
    if (number !== Segment.Fs && number !== Segment.Gs) return offset;
    return i64.add(offset, i64.load(this.#frame.state, State.Segments + field));
  }

  stackOffset(value: I64): I64 {
    return this.#frame.narrow ? cut(value) : value;
  }

  isFlat(segment: number | "operand", write: boolean): I32 {
    const field =
      segment === "operand"
        ? this.#view.getUint8(this.#record + Record.Segment)
        : segment * SegmentField.Length;
    if (!this.#frame.narrow || FLAT_FIELDS.has(field)) return i32.const(1);
    return isFlatSegment(i32.add(this.#frame.state, i32.const(field)), write);
  }

  getVector(operand: number, aligned = false): V128 {
    const shape = this.#operand(operand);
    if (shape.class === "xmm") return this.#frame.vectors.get(this.#field(operand));
    if (shape.class === "mmx") return v128.load(this.#frame.state, this.#mmx(operand));
    if (aligned) this.#checkAligned();
    return this.f.let(v128.load(this.translate(this.address(), 16, "read")));
  }

  setVector(operand: number, value: V128, aligned = false): void {
    const shape = this.#operand(operand);
    if (shape.class === "xmm") {
      this.#frame.vectors.set(this.#field(operand), value);
      return;
    }
    if (aligned) this.#checkAligned();
    const kept = this.f.let(value);
    this.f.store.v128(this.translate(this.address(), 16, "write"), kept);
  }

  getLow(operand: number, width: 32 | 64): Int {
    const shape = this.#operand(operand);
    if (shape.class === "memory") return this.load(width, this.address());
    if (shape.class === "xmm") return this.#frame.vectors.getLow(this.#field(operand), width);
    const at = this.#mmx(operand);
    return width === 64 ? i64.load(this.#frame.state, at) : i32.load(this.#frame.state, at);
  }

  setLow(operand: number, width: 32 | 64, value: Int): void {
    const shape = this.#operand(operand);
    if (shape.class === "memory") this.store(width, this.address(), value);
    else if (shape.class === "xmm") {
      this.#frame.vectors.setLow(this.#field(operand), width, value);
    } else {
      const at = this.#mmx(operand);
      if (width === 64) this.f.store.i64(this.#frame.state, toI64(value), at);
      else this.f.store.i32(this.#frame.state, toI32(value), at);
      this.f.store.i64(this.#frame.state, i64.const(0xffff), at + 8);
    }
  }

  getFloat<T extends "f32" | "f64">(operand: number, type: T): Expr<T>;
  getFloat(operand: number, type: "f32" | "f64"): F32 | F64 {
    const shape = this.#operand(operand);
    if (shape.class === "xmm") return this.#frame.vectors.getFloat(this.#field(operand), type);
    const place = this.translate(this.address(), shape.bits / 8, "read");
    return this.f.let<"f32" | "f64">(type === "f64" ? f64.load(place) : f32.load(place));
  }

  setFloat(operand: number, value: Expr<"f32" | "f64">): void {
    if (this.#operand(operand).class !== "memory") {
      this.#frame.vectors.setFloat(this.#field(operand), value);
      return;
    }
    const { f } = this;
    const kept = f.let(value);
    const place = this.translate(this.address(), value.type === "f64" ? 8 : 4, "write");
    f.storeFloat(place, kept);
  }

  setFloatAlone(operand: number, value: Expr<"f32" | "f64">): void {
    this.#frame.vectors.setFloatAlone(this.#field(operand), value);
  }

  isPlain(operand: number, type: "f32" | "f64"): boolean {
    const register = this.#operand(operand).class === "xmm";
    return register && this.#frame.vectors.isPlain(this.#field(operand), type);
  }

  notePlain(operand: number, type: "f32" | "f64"): void {
    const register = this.#operand(operand).class === "xmm";
    if (register) this.#frame.vectors.notePlain(this.#field(operand), type);
  }

  usualCount(type: "f32" | "f64"): I32 {
    return this.#frame.control.usual(type).get;
  }

  isSame(a: number, b: number): boolean {
    return this.#field(a) === this.#field(b) && this.#operand(a).class === this.#operand(b).class;
  }

  setState128(): void {
    // It is for a helper, which the interpreter writes it for.
  }

  flagResult(): I64 {
    return this.#frame.flags.result;
  }

  flagCarries(): I64 {
    return this.#frame.flags.carries;
  }

  setFlagCarries(low: I32, high: I32): void {
    this.#frame.flags.setCarries(low, high);
    this.#flagsSet();
  }

  setFlagWords(result: I64, low: I32, high: I32): void {
    this.#frame.flags.setWords(result, low, high);
    this.#flagsSet();
  }

  setOperationFlags(operation: FlagOperation, width: Width, a: Int, b: Int, result: Int): void {
    this.#frame.flags.setOperation(operation, width, a, b, result);
    this.#flagsSet();
  }

  knownCondition(code: number): I32 | undefined {
    return this.#frame.flags.condition(code);
  }

  systemFlags(): I32 {
    return this.state32(State.SystemFlags);
  }

  setSystemFlags(value: I32): void {
    this.setState32(State.SystemFlags, value);
  }

  setTlb(offset: I32): void {
    this.setState32(State.Tlb, offset);
    this.f.set(this.#frame.tlb, this.state32(State.Tlb));
    this.#frame.pages.begin();
  }

  state32(offset: number): I32 {
    if (offset === State.Mxcsr) return this.#frame.control.get;
    if (this.#frame.narrow && offset === CODE_LIMIT) return i32.const(-1);
    return i32.load(this.#frame.state, offset);
  }

  state64(offset: number): I64 {
    const isMask = offset === State.StackMask || offset === State.RipMask;
    if (this.#frame.narrow && isMask) return i64.const(0xffffffffn);
    return i64.load(this.#frame.state, offset);
  }

  setState32(offset: number, value: I32): void {
    if (offset === State.Mxcsr) {
      this.#frame.control.set(value);
      return;
    }
    this.f.store.i32(this.#frame.state, value, offset);
  }

  setState64(offset: number, value: I64): void {
    this.f.store.i64(this.#frame.state, value, offset);
  }

  stateAddress(offset: I32): I32 {
    return i32.add(this.#frame.state, offset);
  }

  x87Opcode(): I32 {
    return i32.const(this.#view.getUint16(this.#record + Record.Link, true));
  }

  stackIndex(operand: number): I32 {
    return i32.const(this.#field(operand));
  }

  operandSegment(): { readonly base: I64; readonly selector: I32 } {
    const { state } = this.#frame;
    const field = this.#view.getUint8(this.#record + Record.Segment);
    const isNull = field === Segment.Null * SegmentField.Length;
    const named = isNull ? Segment.Ds * SegmentField.Length : field;
    const noBase = isNull || (this.#frame.narrow && FLAT_FIELDS.has(field));
    return {
      base: noBase ? i64.const(0) : i64.load(state, State.Segments + field + SegmentField.Base),
      selector: i32.load16_u(state, State.Segments + named + SegmentField.Selector),
    };
  }

  rip(): I64 {
    const inPage = this.#view.getUint16(this.#record + Record.Offset, true);
    return i64.add(this.#frame.ripPage.get, i64.const(inPage));
  }

  nextRip(): I64 {
    const inPage =
      this.#view.getUint16(this.#record + Record.Offset, true) +
      this.#view.getUint8(this.#record + Record.InstructionLength);
    const next = i64.add(this.#frame.ripPage.get, i64.const(inPage));
    return this.#frame.narrow ? cut(next) : next;
  }

  targetRip(): I64 {
    const target = this.#view.getBigInt64(this.#record + Record.Immediate, true);
    const rip = i64.add(this.#frame.ripPage.get, i64.const(target));
    if (this.shape.size === 16) return i64.and(rip, i64.const(0xffff));
    return this.#frame.narrow ? cut(rip) : rip;
  }

  branch(): void {
    this.#exits.branch();
  }

  jump(rip: I64): void {
    this.#exits.jump(rip);
  }

  again(): void {
    this.#exits.again();
  }

  raise(): void {
    // The interpreter meets the same fault.
    this.#exits.interpret();
  }

  help(): void {
    this.#exits.interpret();
  }

  done(): void {
    this.#knownAtDone.push(this.#frame.flags.known);
    this.#exits.done();
  }

  #flagsSet(): void {
    if (this.f.depth <= this.#depth) {
      this.#flagsVary = false;
      return;
    }
    // Set on one path only: what it is now holds until the paths meet, of which nothing is known here.
    this.#flagsVary = true;
    this.#frame.flags.known = undefined;
  }

  #operand(index: number): OperandShape {
    return this.shape.operands[index] as OperandShape;
  }

  #field(operand: number): number {
    return this.#view.getUint8(this.#record + Record.A + operand);
  }

  #mmx(operand: number): number {
    return State.Fpu + this.#field(operand);
  }

  #read(field: number, width: Width): Int {
    const value = this.#frame.register(field >> 3).get;
    if (width === 64) return value;
    const word = i32.wrap_i64(value);
    if (width === 32) return word;
    return zeroExtend(width, field & 1 ? i32.shr_u(word, i32.const(8)) : word);
  }

  #write(field: number, width: Width, value: Int): void {
    const { f } = this;
    const local = this.#frame.register(field >> 3);
    if (width === 64) f.set(local, toI64(value));
    else if (width === 32) f.set(local, i64.extend_i32_u(toI32(value)));
    else {
      const shift = field & 1 ? 8 : 0;
      const mask = width === 16 ? 0xffffn : 0xffn << BigInt(shift);
      const part = i64.extend_i32_u(toI32(zeroExtend(width, toI32(value))));
      const placed = shift === 0 ? part : i64.shl(part, i64.const(shift));
      f.set(local, i64.or(i64.and(local.get, i64.const(~mask)), placed));
    }
    f.store.i64(this.#frame.state, local.get, State.Registers + (field & ~7));
    // In 32-bit code all that is known of a register is known of its lower half.
    const whole = this.#frame.narrow ? width >= 32 : width === 64 && value.type === "i64";
    const relative = whole && this.#onAllWays ? value.relative : undefined;
    this.#frame.pages.moved(field >> 3, relative);
    this.#written.add(field >> 3);
  }

  #checkAligned(): void {
    const low = i32.and(i32.wrap_i64(this.address()), i32.const(15));
    this.f.if(unlikely(low), () => this.raise());
  }
}

function loadInteger(width: Width, place: Place): Int {
  if (width === 64) return i64.load(place);
  if (width === 32) return i32.load(place);
  return width === 16 ? i32.load16_u(place) : i32.load8_u(place);
}

function storeInteger(f: FunctionBuilder, width: Width, place: Place, value: Int): void {
  if (width === 64) f.store.i64(place, toI64(value));
  else if (width === 32) f.store.i32(place, toI32(value));
  else if (width === 16) f.store.i32_16(place, toI32(value));
  else f.store.i32_8(place, toI32(value));
}
