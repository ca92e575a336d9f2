import { State } from "../state/layout.ts";
import { f32x4, f64x2, i32x4, i64x2, v128 } from "../wasm/index.ts";
import type { Expr, F32, F64, FunctionBuilder, I32, Int, Local, V128 } from "../wasm/index.ts";
import { toI32, toI64 } from "../semantics/integer-ops.ts";

const REGISTER_BYTES = 16;

/**
 * The XMM registers of a region: locals of 128 bits, written through to the state. Registers are named by their
 * offset from `State.Xmm`.
 */
export class RegionVectors {
  readonly #f: FunctionBuilder;
  readonly #state: I32;
  readonly #locals = new Map<number, Local<"v128">>();
  /** Registers whose lowest number of a format is known to be no denormal. */
  readonly #normal = { f32: new Set<number>(), f64: new Set<number>() };

  constructor(f: FunctionBuilder, state: I32) {
    this.#f = f;
    this.#state = state;
  }

  /** Takes the registers that the region uses from the state. */
  load(): void {
    for (const [register, local] of this.#locals) {
      this.#f.set(local, v128.load(this.#state, State.Xmm + register));
    }
  }

  /** Forgets what is known: paths meet here. */
  forget(): void {
    this.#normal.f32.clear();
    this.#normal.f64.clear();
  }

  get(register: number): V128 {
    return this.#local(register).get;
  }

  set(register: number, value: V128): void {
    const [source] = [...this.#locals].find(([, { get }]) => get === value) ?? [];
    this.#f.set(this.#local(register), value);
    this.#f.store.v128(this.#state, this.get(register), State.Xmm + register);
    for (const known of Object.values(this.#normal)) {
      if (source !== undefined && known.has(source)) known.add(register);
      else known.delete(register);
    }
  }

  getLow(register: number, width: 32 | 64): Int {
    const value = this.get(register);
    return width === 64 ? i64x2.extract_lane(value, 0) : i32x4.extract_lane(value, 0);
  }

  setLow(register: number, width: 32 | 64, value: Int): void {
    const { store } = this.#f;
    const old = this.get(register);
    const at = State.Xmm + register;
    const kept = this.#f.let(value);
    if (width === 64) {
      this.#replaceLow(register, i64x2.replace_lane(old, 0, toI64(kept)));
      store.i64(this.#state, toI64(kept), at);
    } else {
      this.#replaceLow(register, i32x4.replace_lane(old, 0, toI32(kept)));
      store.i32(this.#state, toI32(kept), at);
    }
  }

  getFloat<T extends "f32" | "f64">(register: number, type: T): Expr<T>;
  getFloat(register: number, type: "f32" | "f64"): F32 | F64 {
    const value = this.get(register);
    return type === "f64" ? f64x2.extract_lane(value, 0) : f32x4.extract_lane(value, 0);
  }

  setFloat(register: number, value: Expr<"f32" | "f64">): void {
    const { store } = this.#f;
    const old = this.get(register);
    const at = State.Xmm + register;
    const kept = this.#f.let(value);
    if (isDouble(kept)) {
      this.#replaceLow(register, f64x2.replace_lane(old, 0, kept));
      store.f64(this.#state, kept, at);
    } else if (isSingle(kept)) {
      this.#replaceLow(register, f32x4.replace_lane(old, 0, kept));
      store.f32(this.#state, kept, at);
    }
  }

  isNormal(register: number, type: "f32" | "f64"): boolean {
    return this.#normal[type].has(register);
  }

  noteNormal(register: number, type: "f32" | "f64"): void {
    this.#normal[type].add(register);
  }

  #local(register: number): Local<"v128"> {
    if (register % REGISTER_BYTES !== 0) throw new RangeError(`no XMM register at ${register}`);
    const known = this.#locals.get(register);
    if (known !== undefined) return known;
    const made = this.#f.lasting("v128");
    this.#locals.set(register, made);
    return made;
  }

  #replaceLow(register: number, value: V128): void {
    this.#f.set(this.#local(register), value);
    this.#normal.f32.delete(register);
    this.#normal.f64.delete(register);
  }
}

const isDouble = (value: Expr): value is F64 => value.type === "f64";
const isSingle = (value: Expr): value is F32 => value.type === "f32";
