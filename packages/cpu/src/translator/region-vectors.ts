import { State } from "../state/layout.ts";
import { f32x4, f64, f64x2, i32, i32x4, i64, i64x2, v128 } from "../wasm/index.ts";
import type { Expr, F32, F64, FunctionBuilder, I32, Int, Local, V128 } from "../wasm/index.ts";
import { toI32, toI64 } from "../semantics/integer-ops.ts";
import { ZERO } from "../semantics/vector-operands.ts";

const REGISTER_BYTES = 16;
const NOTHING = f64.const(0);

/** A register whose lowest double is of more interest than the rest. */
interface Halves {
  readonly low: Local<"f64">;
  readonly high: Local<"f64">;
  readonly whole: V128;
}

/** What is known of registers at one point of a region. */
export interface VectorKnowledge {
  /** Those whose lowest number of a format is neither a denormal nor a NaN. */
  readonly f32: ReadonlySet<number>;
  readonly f64: ReadonlySet<number>;
  /** Those whose upper half is 0. */
  readonly half: ReadonlySet<number>;
  /** Those that were copied or are copies: with the same number, the same value. */
  readonly copies: ReadonlyMap<number, number>;
}

/** What is known on both of two ways. */
export function sameKnowledge(a: VectorKnowledge, b: VectorKnowledge): VectorKnowledge {
  const both = (x: ReadonlySet<number>, y: ReadonlySet<number>): ReadonlySet<number> =>
    new Set([...x].filter((register) => y.has(register)));
  return {
    f32: both(a.f32, b.f32),
    f64: both(a.f64, b.f64),
    half: both(a.half, b.half),
    copies: new Map([...a.copies].filter(([register, value]) => b.copies.get(register) === value)),
  };
}

/**
 * The XMM registers of a region: locals of 128 bits, or of two doubles, written through to the state. Registers are named by their
 * offset from `State.Xmm`.
 */
export class RegionVectors {
  readonly #f: FunctionBuilder;
  readonly #state: I32;
  readonly #doubles: ReadonlySet<number>;
  readonly #wholes = new Map<number, Local<"v128">>();
  readonly #halves = new Map<number, Halves>();
  #known = { f32: new Set<number>(), f64: new Set<number>(), half: new Set<number>() };
  #copies = new Map<number, number>();
  #values = 0;

  /** @param doubles the registers that are kept as two doubles. */
  constructor(f: FunctionBuilder, state: I32, doubles: ReadonlySet<number>) {
    this.#f = f;
    this.#state = state;
    this.#doubles = doubles;
  }

  /** Takes the registers that the region uses from the state. */
  load(): void {
    for (const [register, local] of this.#wholes) {
      this.#f.set(local, v128.load(this.#state, State.Xmm + register));
    }
    for (const [register, { low, high }] of this.#halves) {
      this.#f.set(low, f64.load(this.#state, State.Xmm + register));
      this.#f.set(high, f64.load(this.#state, State.Xmm + register + 8));
    }
  }

  get knowledge(): VectorKnowledge {
    const { f32: singles, f64: doubles, half } = this.#known;
    return {
      f32: new Set(singles),
      f64: new Set(doubles),
      half: new Set(half),
      copies: new Map(this.#copies),
    };
  }

  /** Begins a block. */
  begin(known?: VectorKnowledge): void {
    this.#known = {
      f32: new Set(known?.f32),
      f64: new Set(known?.f64),
      half: new Set(known?.half),
    };
    this.#copies = new Map(known?.copies);
  }

  get(register: number): V128 {
    return this.#split(register)?.whole ?? this.#whole(register).get;
  }

  set(register: number, value: V128): void {
    const f = this.#f;
    const at = State.Xmm + register;
    const halves = this.#split(register);
    const source = this.#registerOf(value);
    const from = source === undefined ? undefined : this.#split(source);
    if (halves === undefined) {
      f.set(this.#whole(register), value);
      f.store.v128(this.#state, this.get(register), at);
    } else if (value === ZERO) {
      this.#setLow(register, halves, NOTHING);
      this.#setHigh(register, halves, NOTHING);
    } else if (from !== undefined) {
      this.#setLow(register, halves, from.low.get);
      const zeros = this.#known.half;
      // Zeros are where zeros are to be.
      const same = zeros.has(register) && zeros.has(source as number);
      if (!same) this.#setHigh(register, halves, from.high.get);
    } else {
      const kept = f.let(value);
      f.set(halves.low, f64x2.extract_lane(kept, 0));
      f.set(halves.high, f64x2.extract_lane(kept, 1));
      f.store.v128(this.#state, kept, at);
    }
    this.#noteCopy(register, source);
    for (const known of Object.values(this.#known)) {
      if (value === ZERO || (source !== undefined && known.has(source))) known.add(register);
      else known.delete(register);
    }
  }

  getLow(register: number, width: 32 | 64): Int {
    const halves = this.#split(register);
    if (halves !== undefined) {
      const bits = i64.reinterpret_f64(halves.low.get);
      return width === 64 ? bits : i32.wrap_i64(bits);
    }
    const value = this.get(register);
    return width === 64 ? i64x2.extract_lane(value, 0) : i32x4.extract_lane(value, 0);
  }

  setLow(register: number, width: 32 | 64, value: Int): void {
    const f = this.#f;
    const { store } = f;
    const old = this.get(register);
    const at = State.Xmm + register;
    const kept = f.let(value);
    if (width === 64) {
      const halves = this.#split(register);
      if (halves === undefined) {
        f.set(this.#whole(register), i64x2.replace_lane(old, 0, toI64(kept)));
      } else f.set(halves.low, f64.reinterpret_i64(toI64(kept)));
      store.i64(this.#state, toI64(kept), at);
    } else {
      this.#replace(register, i32x4.replace_lane(old, 0, toI32(kept)));
      store.i32(this.#state, toI32(kept), at);
    }
    this.#forgetLow(register);
  }

  getFloat<T extends "f32" | "f64">(register: number, type: T): Expr<T>;
  getFloat(register: number, type: "f32" | "f64"): F32 | F64 {
    if (type === "f32") return f32x4.extract_lane(this.get(register), 0);
    return this.#split(register)?.low.get ?? f64x2.extract_lane(this.get(register), 0);
  }

  setFloat(register: number, value: Expr<"f32" | "f64">): void {
    const f = this.#f;
    const kept = f.let(value);
    if (isDouble(kept)) {
      const halves = this.#split(register);
      if (halves === undefined) {
        f.set(this.#whole(register), f64x2.replace_lane(this.get(register), 0, kept));
        f.store.f64(this.#state, kept, State.Xmm + register);
      } else this.#setLow(register, halves, kept);
    } else if (isSingle(kept)) {
      this.#replace(register, f32x4.replace_lane(this.get(register), 0, kept));
      f.store.f32(this.#state, kept, State.Xmm + register);
    }
    this.#forgetLow(register);
  }

  /** As `setFloat`; all other bits of the register become 0. */
  setFloatAlone(register: number, value: Expr<"f32" | "f64">): void {
    const kept = this.#f.let(value);
    const halves = this.#split(register);
    if (halves !== undefined && isDouble(kept)) {
      this.#setLow(register, halves, kept);
      if (!this.#known.half.has(register)) this.#setHigh(register, halves, NOTHING);
    } else if (isDouble(kept)) this.set(register, f64x2.replace_lane(ZERO, 0, kept));
    else if (isSingle(kept)) this.set(register, f32x4.replace_lane(ZERO, 0, kept));
    this.#forgetLow(register);
    this.#known.half.add(register);
  }

  isPlain(register: number, type: "f32" | "f64"): boolean {
    return this.#known[type].has(register);
  }

  notePlain(register: number, type: "f32" | "f64"): void {
    this.#known[type].add(register);
    const value = this.#copies.get(register);
    if (value === undefined) return;
    for (const [copy, other] of this.#copies) if (other === value) this.#known[type].add(copy);
  }

  /** A register has another's value from here on, or one of its own. */
  #noteCopy(register: number, source: number | undefined): void {
    if (source === register) return;
    this.#copies.delete(register);
    if (source === undefined) return;
    const value = this.#copies.get(source) ?? this.#values++;
    this.#copies.set(source, value);
    this.#copies.set(register, value);
  }

  #forgetLow(register: number): void {
    this.#copies.delete(register);
    this.#known.f32.delete(register);
    this.#known.f64.delete(register);
  }

  /** The register of which a value is what `get` gave. */
  #registerOf(value: V128): number | undefined {
    for (const [register, { get }] of this.#wholes) if (get === value) return register;
    for (const [register, { whole }] of this.#halves) if (whole === value) return register;
    return undefined;
  }

  #setLow(register: number, { low }: Halves, value: F64): void {
    this.#f.set(low, value);
    this.#f.store.f64(this.#state, low.get, State.Xmm + register);
  }

  #setHigh(register: number, { high }: Halves, value: F64): void {
    this.#f.set(high, value);
    this.#f.store.f64(this.#state, high.get, State.Xmm + register + 8);
  }

  /** Replaces the local of a register, of whose upper half nothing changes. */
  #replace(register: number, value: V128): void {
    const halves = this.#split(register);
    if (halves === undefined) this.#f.set(this.#whole(register), value);
    else this.#f.set(halves.low, f64x2.extract_lane(value, 0));
  }

  #whole(register: number): Local<"v128"> {
    const known = this.#wholes.get(checked(register));
    if (known !== undefined) return known;
    const made = this.#f.lasting("v128");
    this.#wholes.set(register, made);
    return made;
  }

  #split(register: number): Halves | undefined {
    if (!this.#doubles.has(register)) return undefined;
    const known = this.#halves.get(checked(register));
    if (known !== undefined) return known;
    const [low, high] = [this.#f.lasting("f64"), this.#f.lasting("f64")];
    const whole = f64x2.replace_lane(f64x2.splat(low.get), 1, high.get);
    const made = { low, high, whole };
    this.#halves.set(register, made);
    return made;
  }
}

function checked(register: number): number {
  if (register % REGISTER_BYTES === 0) return register;
  throw new RangeError(`no XMM register at ${register}`);
}

const isDouble = (value: Expr): value is F64 => value.type === "f64";
const isSingle = (value: Expr): value is F32 => value.type === "f32";
