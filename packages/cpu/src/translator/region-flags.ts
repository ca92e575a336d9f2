import type { FlagOperation, Width } from "../semantics/context.ts";
import { borrowsOut, carriesOut, isShift, shiftedOut } from "../semantics/flags.ts";
import { add, constant, eq, eqz, le_u, lt_s, lt_u, shl, shr_s, shr_u, signExtend, signExtend64, sub, toI32, toI64, zeroExtend } from "../semantics/integer-ops.ts"; // prettier-ignore
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
 * What the flags of a region are worked out from. A kind says how: 0 that `a` and `b` are the words themselves
 * (`State.FlagCarries`, `State.FlagResult`), others name an operation and width, and with `WITH_CARRY` that a carry
 * went in. Of additions, subtractions and shifts they are the operands; else `b` is the result, and of INC and DEC
 * `a` the CF that stays. What lies above the width in results and in what was added does not count.
 */
export interface FlagLocals {
  readonly kind: Local<"i32">;
  readonly a: Local<"i64">;
  readonly b: Local<"i64">;
}

/** What is known while code is written about the flags at that point; undefined where paths with different ones meet. */
export type KnownFlags =
  { readonly operation: FlagOperation; readonly width: Width } | "words" | undefined;

export function sameFlags(a: KnownFlags, b: KnownFlags): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object") return false;
  return a.operation === b.operation && a.width === b.width;
}

const OPERATIONS = {
  add: 0,
  adc: 0,
  sub: 1,
  sbb: 1,
  shl: 2,
  shr: 3,
  sar: 4,
  inc: 5,
  dec: 6,
  logic: 7,
} as const;
const LOG2_BYTES = { 8: 0, 16: 1, 32: 2, 64: 3 } as const;
const CARRY_SHIFT = 8;
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

/** CF and OF, each 0 or 1, where `State.FlagCarries` has them. */
function topWord(carry: I32, overflow: I32): I64 {
  const next = i64.extend_i32_u(i32.xor(carry, overflow));
  return i64.or(i64.shl(i64.extend_i32_u(carry), i64.const(63)), i64.shl(next, i64.const(62)));
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

/** The functions of a module that work out the flags of any kind: (kind, a, b) → a word of the state. */
export interface FlagFunctions {
  readonly result: Callee;
  readonly carries: Callee;
}

const FLAG_SIGNATURE = { parameters: ["i32", "i64", "i64"], results: ["i64"] } as const;

interface FlagArguments {
  readonly a: I64;
  readonly b: I64;
  readonly is: (operation: FlagOperation) => I32;
  readonly width: I64;
  /** 64 less the width. */
  readonly above: I64;
  readonly carryIn: I64;
}

function defineFlagFunction(
  module: ModuleBuilder,
  write: (f: FunctionBuilder, args: FlagArguments) => void,
  words: "a" | "b",
): Callee {
  return module.define(FLAG_SIGNATURE, (f) => {
    const [kindLocal, aLocal, bLocal] = f.parameters as [Local<"i32">, Local<"i64">, Local<"i64">];
    const [a, b] = [aLocal.get, bLocal.get];
    f.if(i32.eqz(kindLocal.get), () => f.return(words === "a" ? a : b));
    const kind = f.let(i32.sub(i32.and(kindLocal.get, i32.const(0xff)), i32.const(1)));
    const bits = i32.shl(i32.const(8), i32.and(kind, i32.const(3)));
    const width = f.let(i64.extend_i32_u(bits));
    const above = f.let(i64.sub(i64.const(64), width));
    const operation = f.let(i32.shr_u(kind, i32.const(2)));
    const carryIn = f.let(i64.extend_i32_u(i32.shr_u(kindLocal.get, i32.const(CARRY_SHIFT))));
    const is = (name: FlagOperation): I32 => i32.eq(operation, i32.const(OPERATIONS[name]));
    write(f, { a, b, is, width, above, carryIn });
  });
}

/** Writes the functions. */
export function defineFlagFunctions(module: ModuleBuilder): FlagFunctions {
  const result = defineFlagFunction(
    module,
    (f, { a, b, is, above, carryIn }) => {
      const value = f.local("i64");
      f.set(value, b);
      const set = (name: FlagOperation, compute: () => I64): void =>
        f.if(is(name), () => f.set(value, compute()));
      set("add", () => i64.add(i64.add(a, b), carryIn));
      set("sub", () => i64.sub(i64.sub(a, b), carryIn));
      set("shl", () => i64.shl(a, b));
      set("shr", () => i64.shr_u(a, b));
      set("sar", () => i64.shr_s(i64.shr_s(i64.shl(a, above), above), b));
      f.return(i64.shr_s(i64.shl(value.get, above), above));
    },
    "b",
  );
  const carries = defineFlagFunction(
    module,
    (f, { a, b, is, width, above, carryIn }) => {
      const one = i64.const(1);
      const word = (value: Int): I64 => carriesWord(f.let(toI64(value)), above);
      f.if(is("logic"), () => f.return(i64.const(0)));
      f.if(is("add"), () =>
        f.return(word(carriesOut(a, b, f.let(i64.add(i64.add(a, b), carryIn))))),
      );
      f.if(is("sub"), () =>
        f.return(word(borrowsOut(a, b, f.let(i64.sub(i64.sub(a, b), carryIn))))),
      );
      f.if(is("inc"), () => {
        const old = f.let(i64.sub(b, one));
        f.return(keepingCarry(f, word(carriesOut(old, one, b)), a));
      });
      f.if(is("dec"), () => {
        const old = f.let(i64.add(b, one));
        f.return(keepingCarry(f, word(borrowsOut(old, one, b)), a));
      });
      for (const operation of ["shl", "shr"] as const) {
        f.if(is(operation), () => {
          const shifted = f.let(operation === "shl" ? i64.shl(a, b) : i64.shr_u(a, b));
          const { carry, overflow } = shiftedOut(operation, width, a, b, shifted);
          f.return(topWord(f.let(carry), overflow));
        });
      }
      const { carry, overflow } = shiftedOut("sar", width, a, b, b);
      f.return(topWord(f.let(carry), overflow));
    },
    "a",
  );
  return { result, carries };
}

/** The flags of a region: kept as what they follow from, worked out where something asks. */
export class RegionFlags {
  readonly #f: FunctionBuilder;
  readonly #functions: FlagFunctions;
  readonly locals: FlagLocals;
  known: KnownFlags;

  /** @param locals hold the flags at the function's start. */
  constructor(f: FunctionBuilder, functions: FlagFunctions, locals: FlagLocals) {
    this.#f = f;
    this.#functions = functions;
    this.locals = locals;
  }

  /** Puts the flags, of whatever kind they are, into the state. */
  store(state: I32): void {
    const f = this.#f;
    f.store.i64(state, this.#call("result"), State.FlagResult);
    f.store.i64(state, this.#call("carries"), State.FlagCarries);
  }

  #call(name: keyof FlagFunctions): I64 {
    const { kind, a, b } = this.locals;
    return call<"i64">(this.#functions[name], kind.get, a.get, b.get);
  }

  /** The word of carries. */
  get carries(): I64 {
    const { known } = this;
    const f = this.#f;
    const [a, b] = [this.locals.a.get, this.locals.b.get];
    if (known === "words") return a;
    if (known?.operation === "logic") return i64.const(0);
    if (known === undefined || known.operation === "inc" || known.operation === "dec") {
      return f.let(this.#call("carries"));
    }
    const { operation, width } = known;
    if (isShift(operation)) {
      const result = f.let(toI64(this.#value(known)));
      const { carry, overflow } = shiftedOut(operation, i64.const(width), a, b, result);
      return f.let(topWord(f.let(carry), overflow));
    }
    const above = i64.const(64 - width);
    const adds = operation === "add" || operation === "adc";
    const result = f.let(adds ? this.#sum(i64.add) : this.#sum(i64.sub));
    const word = adds ? carriesOut(a, b, result) : borrowsOut(a, b, result);
    return f.let(carriesWord(f.let(toI64(word)), above));
  }

  /** The sign-extended result. */
  get result(): I64 {
    const { known } = this;
    if (known === "words") return this.locals.b.get;
    if (known === undefined) return this.#f.let(this.#call("result"));
    return signExtend64(known.width, this.#value(known));
  }

  /** Operands added or subtracted, with the carry that went in. */
  #sum(operate: (x: I64, y: I64) => I64): I64 {
    const { kind, a, b } = this.locals;
    const { known } = this;
    const plain = operate(a.get, b.get);
    const carries = typeof known === "object" && /^(adc|sbb)$/.test(known.operation);
    if (!carries) return plain;
    return operate(plain, i64.extend_i32_u(i32.shr_u(kind.get, i32.const(CARRY_SHIFT))));
  }

  /** The result of what is known: an i32 below 64 bits, with anything above the width. */
  #value({ operation, width }: Exclude<KnownFlags, string | undefined>): Int {
    const narrow = (value: I64): Int => (width === 64 ? value : i32.wrap_i64(value));
    const { a, b } = this.locals;
    const [x, y] = [narrow(a.get), narrow(b.get)];
    switch (operation) {
      case "add":
        return add(x, y);
      case "sub":
        return sub(x, y);
      case "adc":
        return narrow(this.#sum(i64.add));
      case "sbb":
        return narrow(this.#sum(i64.sub));
      case "shl":
        return shl(x, y);
      case "shr":
        return shr_u(x, y);
      case "sar":
        return shr_s(signExtend(width, x), y);
      default:
        return y;
    }
  }

  setCarries(low: I32, high: I32): void {
    const f = this.#f;
    const { kind, a, b } = this.locals;
    const lower = i64.extend_i32_u(low);
    const upper = i64.shl(i64.extend_i32_u(high), i64.const(32));
    const word =
      high.constant === 0
        ? low.constant === 0
          ? i64.const(0)
          : lower
        : low.constant === 0
          ? upper
          : i64.or(lower, upper);
    const kept = f.let(word);
    if (this.known !== "words") f.set(b, this.result);
    f.set(a, kept);
    f.set(kind, i32.const(0));
    this.known = "words";
  }

  setWords(result: I64, low: I32, high: I32): void {
    const f = this.#f;
    const kept = f.let(result);
    this.known = "words";
    this.setCarries(low, high);
    f.set(this.locals.b, kept);
  }

  setOperation(operation: FlagOperation, width: Width, a: Int, b: Int, result: Int): void {
    const f = this.#f;
    const { locals } = this;
    let kind: I32 = i32.const(flagKind(operation, width));
    if (operation === "adc" || operation === "sbb") {
      // What went in is where the sum of the operands alone differs from the result.
      const differs = i64.xor(i64.xor(toI64(a), toI64(b)), toI64(result));
      const carry = i32.and(i32.wrap_i64(differs), i32.const(1));
      kind = i32.or(kind, i32.shl(carry, i32.const(CARRY_SHIFT)));
    }
    if (operation === "inc" || operation === "dec") f.set(locals.a, toI64(this.carry));
    else if (operation !== "logic") f.set(locals.a, toI64(a));
    const byOperands = operation !== "inc" && operation !== "dec" && operation !== "logic";
    f.set(locals.kind, kind);
    f.set(locals.b, toI64(byOperands ? b : result));
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
    const { known } = this;
    if (known === "words" || known === undefined) {
      return code === 4 ? i64.eqz(this.result) : undefined;
    }
    const { operation, width } = known;
    const narrow = (value: I64): Int => (width === 64 ? value : i32.wrap_i64(value));
    const [a, b] = [narrow(this.locals.a.get), narrow(this.locals.b.get)];
    const none = constant(width, 0);
    const zero = (): I32 => eqz(zeroExtend(width, this.#value(known)));
    const negative = (): I32 => lt_s(signExtend(width, this.#value(known)), none);
    if (operation === "sub") {
      const [sa, sb] = [signExtend(width, a), signExtend(width, b)];
      if (code === 2) return lt_u(a, b);
      if (code === 4) return eq(a, b);
      if (code === 6) return le_u(a, b);
      if (code === 12) return lt_s(sa, sb);
      if (code === 14) return i32.eqz(lt_s(sb, sa));
    }
    if (code === 4) return zero();
    if (code === 8) return negative();
    if (code === 10) {
      const byte = i32.and(toI32(this.#value(known)), i32.const(0xff));
      return i32.eqz(i32.and(i32.popcnt(byte), i32.const(1)));
    }
    if (operation === "logic") {
      if (code === 0 || code === 2) return i32.const(0);
      if (code === 6) return zero();
      if (code === 12) return negative();
      return i32.or(negative(), zero());
    }
    if (operation === "inc" || operation === "dec") {
      const carry = i32.wrap_i64(this.locals.a.get);
      if (code === 2) return carry;
      // OF: the result is the smallest value after INC, the largest after DEC.
      const edge =
        operation === "inc" ? -(1n << BigInt(width - 1)) : (1n << BigInt(width - 1)) - 1n;
      const overflow = eq(signExtend(width, b), constant(width, edge));
      if (code === 0) return overflow;
      if (code === 6) return i32.or(carry, zero());
      const less = i32.xor(negative(), overflow);
      return code === 12 ? less : i32.or(less, zero());
    }
    if (code !== 2) return undefined;
    if (operation === "add") return lt_u(zeroExtend(width, this.#value(known)), a);
    if (!isShift(operation)) return undefined;
    const { a: x, b: y } = this.locals;
    return shiftedOut(operation, i64.const(width), x.get, y.get, y.get).carry;
  }
}
