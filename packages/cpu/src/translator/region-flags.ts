import type { FlagOperation, Width } from "../semantics/context.ts";
import { borrowsOut, carriesOut } from "../semantics/flags.ts";
import { signExtend64, toI32, toI64 } from "../semantics/integer-ops.ts";
import { State } from "../state/layout.ts";
import { call, i32, i64 } from "../wasm/index.ts";
import type {
  Callee,
  FunctionBuilder,
  I32,
  I64,
  Int,
  Local,
  ModuleBuilder,
} from "../wasm/index.ts";

/**
 * What the flags of a region are worked out from. A kind says how: 0 that `a` is the word of carries itself
 * (`State.FlagCarries`), others name an operation and width, with `a` and `b` its operands (of INC and DEC `a`
 * is the CF that stays). `result` is always sign-extended, as `State.FlagResult`.
 */
export interface FlagLocals {
  readonly kind: Local<"i32">;
  readonly a: Local<"i64">;
  readonly b: Local<"i64">;
  readonly result: Local<"i64">;
}

/** What is known while code is written about the flags at that point; undefined where paths with different ones meet. */
export type KnownFlags =
  { readonly operation: FlagOperation; readonly width: Width } | "words" | undefined;

const OPERATIONS = { add: 0, adc: 0, sub: 1, sbb: 1, inc: 2, dec: 3, logic: 4 } as const;
const LOG2_BYTES = { 8: 0, 16: 1, 32: 2, 64: 3 } as const;
const TOP_CARRIES = i64.const(-0x4000000000000000n);
const AF = i64.const(8);

/** The run-time number of an operation and width. */
export function flagKind(operation: FlagOperation, width: Width): number {
  return 1 + OPERATIONS[operation] * 4 + LOG2_BYTES[width];
}

/** AF and the two top carries of a word of carries, where `State.FlagCarries` has them; `shift` is 64 less the width. */
function carriesWord(carries: I64, shift: I64): I64 {
  return i64.or(i64.and(carries, AF), i64.and(i64.shl(carries, shift), TOP_CARRIES));
}

/** The word for INC and DEC: overflow as computed, CF as it was. */
function keepingCarry(f: FunctionBuilder, word: I64, cf: I64): I64 {
  const known = f.let(word);
  const overflow = i64.and(
    i64.xor(known, i64.shr_u(known, i64.const(1))),
    i64.const(0x4000000000000000n),
  );
  const carry = f.let(cf);
  const kept = i64.or(i64.shl(carry, i64.const(63)), i64.shl(carry, i64.const(62)));
  return i64.or(i64.and(known, AF), i64.xor(overflow, kept));
}

/** Writes the function `(kind, a, b, result) → State.FlagCarries`. */
export function defineCarries(module: ModuleBuilder): Callee {
  return module.define({ parameters: ["i32", "i64", "i64", "i64"], results: ["i64"] }, (f) => {
    const [kindLocal, a, b, result] = f.parameters as [
      Local<"i32">,
      Local<"i64">,
      Local<"i64">,
      Local<"i64">,
    ];
    f.if(i32.eqz(kindLocal.get), () => f.return(a.get));
    const kind = f.let(i32.sub(kindLocal.get, i32.const(1)));
    const bits = i32.shl(i32.const(8), i32.and(kind, i32.const(3)));
    const shift = f.let(i64.extend_i32_u(i32.sub(i32.const(64), bits)));
    const operation = f.let(i32.shr_u(kind, i32.const(2)));
    f.if(i32.eq(operation, i32.const(OPERATIONS.logic)), () => f.return(i64.const(0)));
    f.if(i32.eqz(operation), () =>
      f.return(carriesWord(f.let(toI64(carriesOut(a.get, b.get, result.get))), shift)),
    );
    f.if(i32.eq(operation, i32.const(OPERATIONS.sub)), () =>
      f.return(carriesWord(f.let(toI64(borrowsOut(a.get, b.get, result.get))), shift)),
    );
    const one = i64.const(1);
    const up = i32.eq(operation, i32.const(OPERATIONS.inc));
    f.if(up, () => {
      const old = f.let(i64.sub(result.get, one));
      const carries = f.let(toI64(carriesOut(old, one, result.get)));
      f.return(keepingCarry(f, carriesWord(carries, shift), a.get));
    });
    const old = f.let(i64.add(result.get, one));
    const carries = f.let(toI64(borrowsOut(old, one, result.get)));
    f.return(keepingCarry(f, carriesWord(carries, shift), a.get));
  });
}

/** The flags of a region: kept as what they follow from, worked out where something asks. */
export class RegionFlags {
  readonly #f: FunctionBuilder;
  readonly #carries: Callee;
  readonly locals: FlagLocals;
  known: KnownFlags;

  constructor(f: FunctionBuilder, carries: Callee) {
    this.#f = f;
    this.#carries = carries;
    this.locals = {
      kind: f.local("i32"),
      a: f.local("i64"),
      b: f.local("i64"),
      result: f.local("i64"),
    };
  }

  /** Takes the flags from the state. */
  load(state: I32): void {
    const { kind, a, result } = this.locals;
    this.#f.set(kind, i32.const(0));
    this.#f.set(a, i64.load(state, State.FlagCarries));
    this.#f.set(result, i64.load(state, State.FlagResult));
  }

  /** The word of carries. */
  get carries(): I64 {
    const { kind, a, b, result } = this.locals;
    const { known } = this;
    const f = this.#f;
    if (known === "words") return a.get;
    if (known === undefined) {
      return f.let(call<"i64">(this.#carries, kind.get, a.get, b.get, result.get));
    }
    const shift = i64.const(64 - known.width);
    switch (known.operation) {
      case "logic":
        return i64.const(0);
      case "add":
      case "adc":
        return carriesWord(f.let(toI64(carriesOut(a.get, b.get, result.get))), shift);
      case "sub":
      case "sbb":
        return carriesWord(f.let(toI64(borrowsOut(a.get, b.get, result.get))), shift);
      default:
        return f.let(call<"i64">(this.#carries, kind.get, a.get, b.get, result.get));
    }
  }

  get result(): I64 {
    return this.locals.result.get;
  }

  setResult(value: I64): void {
    if (this.known !== "words") this.#setWord(this.#f.let(this.carries));
    this.#f.set(this.locals.result, value);
  }

  setCarries(low: I32, high: I32): void {
    const lower = i64.extend_i32_u(low);
    const upper = i64.shl(i64.extend_i32_u(high), i64.const(32));
    if (high.constant === 0) this.#setWord(low.constant === 0 ? i64.const(0) : lower);
    else this.#setWord(low.constant === 0 ? upper : i64.or(lower, upper));
  }

  #setWord(word: I64): void {
    this.#f.set(this.locals.a, word);
    this.#f.set(this.locals.kind, i32.const(0));
    this.known = "words";
  }

  setOperation(operation: FlagOperation, width: Width, a: Int, b: Int, result: Int): void {
    const f = this.#f;
    const { locals } = this;
    if (operation === "inc" || operation === "dec") f.set(locals.a, toI64(this.carry));
    else if (operation !== "logic") {
      // The result may be one of them.
      f.set(locals.a, toI64(a));
      f.set(locals.b, toI64(b));
    }
    f.set(locals.result, signExtend64(width, result));
    f.set(locals.kind, i32.const(flagKind(operation, width)));
    this.known = { operation, width };
  }

  /** CF as 0 or 1. */
  get carry(): I32 {
    return this.condition(2) ?? toI32(i64.shr_u(this.carries, i64.const(63)));
  }

  /** A condition code as 0 or 1 where what is known makes it short. */
  condition(code: number): I32 | undefined {
    const positive = this.#condition(code & 14);
    if (positive === undefined) return undefined;
    return code & 1 ? i32.eqz(positive) : positive;
  }

  #condition(code: number): I32 | undefined {
    const { a, b } = this.locals;
    const { known, result } = this;
    const zero = (): I32 => i64.eqz(result);
    const negative = (): I32 => i64.lt_s(result, i64.const(0));
    if (code === 4) return zero();
    if (known === "words" || known === undefined) return undefined;
    const { operation, width } = known;
    if (code === 8) return negative();
    if (code === 10) {
      const byte = i32.and(i32.wrap_i64(result), i32.const(0xff));
      return i32.eqz(i32.and(i32.popcnt(byte), i32.const(1)));
    }
    if (operation === "logic") {
      if (code === 0 || code === 2) return i32.const(0);
      if (code === 6) return zero();
      if (code === 12) return negative();
      return i64.le_s(result, i64.const(0));
    }
    if (operation === "inc" || operation === "dec") {
      if (code === 2) return i32.wrap_i64(a.get);
      // OF: the result is the smallest value after INC, the largest after DEC.
      const edge =
        operation === "inc" ? -(1n << BigInt(width - 1)) : (1n << BigInt(width - 1)) - 1n;
      const overflow = i64.eq(result, i64.const(edge));
      if (code === 0) return overflow;
      if (code === 6) return i32.or(i32.wrap_i64(a.get), zero());
      const less = i32.xor(negative(), overflow);
      return code === 12 ? less : i32.or(less, zero());
    }
    if (operation === "add" && code === 2) return i64.lt_u(low(width, result), a.get);
    if (operation !== "sub") return undefined;
    const [x, y] = [a.get, b.get];
    const [sx, sy] = [signExtend64(width, x), signExtend64(width, y)];
    if (width === 32) {
      const [nx, ny] = [i32.wrap_i64(x), i32.wrap_i64(y)];
      if (code === 2) return i32.lt_u(nx, ny);
      if (code === 6) return i32.le_u(nx, ny);
      if (code === 12) return i32.lt_s(nx, ny);
      if (code === 14) return i32.le_s(nx, ny);
      return undefined;
    }
    if (code === 2) return i64.lt_u(x, y);
    if (code === 6) return i64.le_u(x, y);
    if (code === 12) return i64.lt_s(sx, sy);
    if (code === 14) return i64.le_s(sx, sy);
    return undefined;
  }
}

/** The low `width` bits. */
function low(width: Width, value: I64): I64 {
  return width === 64 ? value : i64.and(value, i64.const((1n << BigInt(width)) - 1n));
}
