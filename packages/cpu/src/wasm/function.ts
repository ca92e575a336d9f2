import { ByteSink } from "./bytes.ts";
import { memoryArgument, valueTypeCode } from "./expression.ts";
import type { Expr, F32, F64, I32, I64, Place, V128, ValueType } from "./expression.ts";

/** The types of a function's parameters and results. */
export interface Signature {
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
}

/** A mutable local variable or parameter. */
export interface Local<T extends ValueType = ValueType> {
  readonly type: T;
  readonly index: number;
  /** Reads it where it is used. */
  readonly get: Expr<T>;
}

/** A branch target; depth counts from the function's outermost block. */
export interface Label {
  readonly depth: number;
}

/** What is said of a conditional branch: where in the function's code its opcode is, and whether its condition usually holds. */
export interface BranchHint {
  readonly offset: number;
  readonly holds: boolean;
}

/** A function to call: its index is known once its module is laid out. */
export interface Callee {
  readonly signature: Signature;
  readonly index: number;
}

/** Calls a function with one result inside an expression. */
export function call<T extends ValueType>(callee: Callee, ...args: Expr[]): Expr<T> {
  return {
    type: callee.signature.results[0] as T,
    emit(out) {
      for (const arg of args) arg.emit(out);
      out.byte(0x10);
      out.u32(callee.index);
    },
  };
}

/** Calls a function of the imported table, by its index there; the signature by its type's index in the module. */
export function callIndirect<T extends ValueType>(
  type: T,
  signatureIndex: number,
  index: I32,
  ...args: Expr[]
): Expr<T> {
  return {
    type,
    emit(out) {
      for (const arg of args) arg.emit(out);
      index.emit(out);
      out.byte(0x11);
      out.u32(signatureIndex);
      out.u32(0);
    },
  };
}

/**
 * Writes one WebAssembly function, statement by statement. Locals made inside `scope` are reused after it,
 * so that a function of a thousand handlers has a few dozen locals.
 */
export class FunctionBuilder {
  readonly signature: Signature;
  readonly parameters: readonly Local[];
  #code: ByteSink;
  readonly #types: ValueType[] = [];
  readonly #free: Record<ValueType, number[]> = { i32: [], i64: [], f32: [], f64: [], v128: [] };
  #scope: { type: ValueType; index: number }[] | undefined;
  #depth = 0;
  #hints: BranchHint[] = [];

  /** @param wide whether the module has a second memory, of 64-bit addresses. */
  constructor(signature: Signature, wide = false) {
    this.signature = signature;
    this.#code = new ByteSink(wide);
    this.parameters = signature.parameters.map((type, index) => makeLocal(type, index));
  }

  /** How many blocks are open here. */
  get depth(): number {
    return this.#depth;
  }

  /** Runs `body`, whose statements go before everything written so far. */
  prologue(body: () => void): void {
    const [rest, hints] = [this.#code, this.#hints];
    this.#code = new ByteSink(rest.wide);
    this.#hints = [];
    body();
    const { length } = this.#code;
    this.#hints.push(...moved(hints, length));
    this.#code.append(rest);
  }

  /** Whether there is a second memory, of 64-bit addresses. */
  get wide(): boolean {
    return this.#code.wide;
  }

  /** A new local, zero at the function's start; inside a scope it holds whatever an earlier scope left. */
  local<T extends ValueType>(type: T): Local<T> {
    let index = this.#scope === undefined ? undefined : this.#free[type].pop();
    if (index === undefined) {
      index = this.signature.parameters.length + this.#types.length;
      this.#types.push(type);
    }
    this.#scope?.push({ type, index });
    return makeLocal(type, index);
  }

  /** A new local that is not reused when the scope ends that it is made in. */
  lasting<T extends ValueType>(type: T): Local<T> {
    const outer = this.#scope;
    this.#scope = undefined;
    const local = this.local(type);
    this.#scope = outer;
    return local;
  }

  /** Evaluates an expression once, here, and gives its value for any number of uses. Constants stay as they are. */
  let<T extends ValueType>(expression: Expr<T>): Expr<T> {
    if (expression.constant !== undefined) return expression;
    const local = this.local(expression.type);
    this.set(local, expression);
    const { relative } = expression;
    return relative === undefined ? local.get : { ...local.get, relative };
  }

  /** Runs `body`; the locals it made are free for reuse afterwards. */
  scope(body: () => void): void {
    const outer = this.#scope;
    this.#scope = [];
    body();
    for (const { type, index } of this.#scope) this.#free[type].push(index);
    this.#scope = outer;
  }

  set<T extends ValueType>(local: Local<T>, value: Expr<T>): void {
    value.emit(this.#code);
    this.#code.byte(0x21);
    this.#code.u32(local.index);
  }

  readonly store = {
    i32: (address: Place, value: I32, offset = 0): void =>
      this.#store(0x36, address, value, offset),
    i64: (address: Place, value: I64, offset = 0): void =>
      this.#store(0x37, address, value, offset),
    f32: (address: Place, value: F32, offset = 0): void =>
      this.#store(0x38, address, value, offset),
    f64: (address: Place, value: F64, offset = 0): void =>
      this.#store(0x39, address, value, offset),
    i32_8: (address: Place, value: I32, offset = 0): void =>
      this.#store(0x3a, address, value, offset),
    i32_16: (address: Place, value: I32, offset = 0): void =>
      this.#store(0x3b, address, value, offset),
    i64_8: (address: Place, value: I64, offset = 0): void =>
      this.#store(0x3c, address, value, offset),
    i64_16: (address: Place, value: I64, offset = 0): void =>
      this.#store(0x3d, address, value, offset),
    i64_32: (address: Place, value: I64, offset = 0): void =>
      this.#store(0x3e, address, value, offset),
    v128: (address: Place, value: V128, offset = 0): void => {
      address.emit(this.#code);
      value.emit(this.#code);
      this.#code.byte(0xfd);
      this.#code.u32(11);
      memoryArgument(this.#code, address, offset);
    },
  };

  /** Stores a number of either floating-point type. */
  storeFloat(address: Place, value: Expr<"f32" | "f64">, offset = 0): void {
    this.#store(value.type === "f64" ? 0x39 : 0x38, address, value, offset);
  }

  /** `memory.copy(to, from, length)` inside one memory; the ranges may overlap. */
  memoryCopy(to: Place, from: Place, length: I32): void {
    for (const operand of [to, from]) operand.emit(this.#code);
    const memory = this.#length(to, length);
    for (const byte of [0xfc, 10, memory, memory]) this.#code.byte(byte);
  }

  /** `memory.fill(to, byte, length)`. */
  memoryFill(to: Place, value: I32, length: I32): void {
    for (const operand of [to, value]) operand.emit(this.#code);
    for (const byte of [0xfc, 11, this.#length(to, length)]) this.#code.byte(byte);
  }

  /** Writes a length as wide as the address is; which memory that is in. */
  #length(place: Place, length: I32): 0 | 1 {
    length.emit(this.#code);
    if (place.type === "i32") return 0;
    // i64.extend_i32_u
    this.#code.byte(0xad);
    return 1;
  }

  if(condition: I32, then: () => void, otherwise?: () => void): void {
    this.#condition(condition);
    this.#code.byte(0x04);
    this.#code.byte(0x40);
    this.#depth++;
    then();
    if (otherwise !== undefined) {
      this.#code.byte(0x05);
      otherwise();
    }
    this.#end();
  }

  /** A block: branching to its label leaves it. */
  block(body: (leave: Label) => void): void {
    this.#open(0x02, body);
  }

  /** A loop: branching to its label goes round again; falling off its end leaves it. */
  loop(body: (again: Label) => void): void {
    this.#open(0x03, body);
  }

  br(label: Label): void {
    this.#code.byte(0x0c);
    this.#code.u32(this.#depth - label.depth);
  }

  brIf(label: Label, condition: I32): void {
    this.#condition(condition);
    this.#code.byte(0x0d);
    this.#code.u32(this.#depth - label.depth);
  }

  brTable(index: I32, labels: readonly Label[], otherwise: Label): void {
    index.emit(this.#code);
    this.#code.byte(0x0e);
    this.#code.u32(labels.length);
    for (const label of labels) this.#code.u32(this.#depth - label.depth);
    this.#code.u32(this.#depth - otherwise.depth);
  }

  return(value?: Expr): void {
    value?.emit(this.#code);
    this.#code.byte(0x0f);
  }

  /** Returns what a function of the imported table does, in its place: as deep as one goes no stack is taken. */
  returnCallIndirect(signatureIndex: number, index: I32, ...args: Expr[]): void {
    for (const arg of args) arg.emit(this.#code);
    index.emit(this.#code);
    this.#code.byte(0x13);
    this.#code.u32(signatureIndex);
    this.#code.u32(0);
  }

  /** Says that this point is never reached. */
  unreachable(): void {
    this.#code.byte(0x00);
  }

  /** Calls a function for its effects; a result is dropped. */
  call(callee: Callee, ...args: Expr[]): void {
    for (const arg of args) arg.emit(this.#code);
    this.#code.byte(0x10);
    this.#code.u32(callee.index);
    for (let i = 0; i < callee.signature.results.length; i++) this.#code.byte(0x1a);
  }

  /** The function's entry of the code section, and its branch hints, whose offsets count from the entry's start. */
  encode(): { readonly body: ByteSink; readonly hints: readonly BranchHint[] } {
    const body = new ByteSink();
    const runs: { type: ValueType; count: number }[] = [];
    for (const type of this.#types) {
      const last = runs.at(-1);
      if (last?.type === type) last.count++;
      else runs.push({ type, count: 1 });
    }
    body.u32(runs.length);
    for (const { type, count } of runs) {
      body.u32(count);
      body.byte(valueTypeCode[type]);
    }
    const hints = moved(this.#hints, body.length);
    body.append(this.#code);
    body.byte(0x0b);
    return { body, hints };
  }

  #condition(condition: I32): void {
    condition.emit(this.#code);
    const { holds } = condition;
    if (holds !== undefined) this.#hints.push({ offset: this.#code.length, holds });
  }

  #open(opcode: number, body: (label: Label) => void): void {
    this.#code.byte(opcode);
    this.#code.byte(0x40);
    this.#depth++;
    body({ depth: this.#depth });
    this.#end();
  }

  #end(): void {
    this.#code.byte(0x0b);
    this.#depth--;
  }

  #store(opcode: number, address: Place, value: Expr, offset: number): void {
    address.emit(this.#code);
    value.emit(this.#code);
    this.#code.byte(opcode);
    memoryArgument(this.#code, address, offset);
  }
}

function moved(hints: readonly BranchHint[], by: number): BranchHint[] {
  return hints.map(({ offset, holds }) => ({ offset: offset + by, holds }));
}

function makeLocal<T extends ValueType>(type: T, index: number): Local<T> {
  return {
    type,
    index,
    get: {
      type,
      emit(out) {
        out.byte(0x20);
        out.u32(index);
      },
    },
  };
}
