import type { ByteSink } from "./bytes.ts";

/** A WebAssembly value type. */
export type ValueType = "i32" | "i64" | "f32" | "f64" | "v128";

/** The binary encoding of each value type (WebAssembly core 2.0, 5.3). */
export const valueTypeCode: Readonly<Record<ValueType, number>> = {
  i32: 0x7f,
  i64: 0x7e,
  f32: 0x7d,
  f64: 0x7c,
  v128: 0x7b,
};

/**
 * A WebAssembly expression as a tree. It is evaluated where a statement consumes it, each time it is used:
 * bind it with `FunctionBuilder.let` to evaluate it once and now.
 */
export interface Expr<T extends ValueType = ValueType> {
  readonly type: T;
  /** Present on constants, for folding. */
  readonly constant?: number | bigint;
  /**
   * Of sums, whose terms' writer gave it: a value that this one is a constant distance from, of 32-bit ones after it is cut to 32
   * bits.
   */
  readonly relative?: Relative;
  /** Of conditions: whether it usually holds, where that is said (`likely`, `unlikely`). */
  readonly holds?: boolean;
  emit(out: ByteSink): void;
}

/** A distance from some value, which has a name. */
export interface Relative {
  readonly to: string;
  readonly by: bigint;
}

export type I32 = Expr<"i32">;
export type I64 = Expr<"i64">;
export type F32 = Expr<"f32">;
export type F64 = Expr<"f64">;
export type V128 = Expr<"v128">;
/** An integer of either width; the generic operations below choose by its type. */
export type Int = I32 | I64;

/** A condition that nearly always holds: the engine may put what is done otherwise out of the way. */
export const likely = (condition: I32): I32 => ({ ...condition, holds: true });
/** A condition that nearly never holds. */
export const unlikely = (condition: I32): I32 => ({ ...condition, holds: false });

/** An address: of 32 bits in the first memory, of 64 bits in the second one of modules that have it. */
export type Place = Int;

/** Writes what follows a load's or store's opcode: which memory, and the offset. */
export function memoryArgument(out: ByteSink, address: Place, offset: number): void {
  if (address.type === "i64") {
    out.byte(0x40);
    out.byte(1);
  } else out.byte(0);
  out.u32(offset);
}

/** Any operation: operands first, then the opcode bytes and immediates. */
export function operation<T extends ValueType>(
  type: T,
  operands: readonly Expr[],
  encode: (out: ByteSink) => void,
): Expr<T> {
  return {
    type,
    emit(out) {
      for (const operand of operands) operand.emit(out);
      encode(out);
    },
  };
}

function plain<T extends ValueType>(type: T, opcode: number, ...operands: Expr[]): Expr<T> {
  return operation(type, operands, (out) => out.byte(opcode));
}

function loads<T extends ValueType>(type: T, opcode: number) {
  return (address: Place, offset = 0): Expr<T> => ({
    type,
    emit(out) {
      address.emit(out);
      out.byte(opcode);
      memoryArgument(out, address, offset);
    },
  });
}

type Binary<A extends ValueType, R extends ValueType> = (a: Expr<A>, b: Expr<A>) => Expr<R>;
type Unary<A extends ValueType, R extends ValueType> = (a: Expr<A>) => Expr<R>;

function binary<A extends ValueType, R extends ValueType>(type: R, opcode: number): Binary<A, R> {
  return (a, b) => plain(type, opcode, a, b);
}

function unary<A extends ValueType, R extends ValueType>(type: R, opcode: number): Unary<A, R> {
  return (a) => plain(type, opcode, a);
}

const isBig = (value: number | bigint | undefined): value is bigint => typeof value === "bigint";

function related<T extends "i32" | "i64">(sum: Expr<T>, relative: Relative | undefined): Expr<T> {
  return relative === undefined ? sum : { ...sum, relative };
}

/** What a sum or difference is relative to: the term that is no constant, or both. */
function relativeSum(a: Expr<"i64">, b: Expr<"i64">, sign: 1n | -1n): Relative | undefined {
  const [x, y] = [a.relative, b.relative];
  if (x !== undefined && isBig(b.constant)) return { to: x.to, by: x.by + sign * b.constant };
  if (sign < 0n) return undefined;
  if (y !== undefined && isBig(a.constant)) return { to: y.to, by: y.by + a.constant };
  return x && y && { to: `(${x.to}+${y.to})`, by: x.by + y.by };
}

function relativeShift({ relative }: Expr<"i64">, { constant }: Expr<"i64">): Relative | undefined {
  if (relative === undefined || !isBig(constant)) return undefined;
  return { to: `(${relative.to}<<${constant})`, by: relative.by << constant };
}

/** The same of 32 bits, if a constant is added or taken away. */
function relativeStep(a: I32, b: I32, sign: 1n | -1n): Relative | undefined {
  if (a.relative === undefined || typeof b.constant !== "number") return undefined;
  return { to: a.relative.to, by: a.relative.by + sign * BigInt(b.constant) };
}

/** 32-bit integer operations, by their WebAssembly names. */
export const i32 = {
  const: (value: number): I32 => ({
    type: "i32",
    constant: value | 0,
    emit: (out) => {
      out.byte(0x41);
      out.s32(value);
    },
  }),
  load: loads("i32", 0x28),
  load8_s: loads("i32", 0x2c),
  load8_u: loads("i32", 0x2d),
  load16_s: loads("i32", 0x2e),
  load16_u: loads("i32", 0x2f),
  eqz: unary<"i32", "i32">("i32", 0x45),
  eq: binary<"i32", "i32">("i32", 0x46),
  ne: binary<"i32", "i32">("i32", 0x47),
  lt_s: binary<"i32", "i32">("i32", 0x48),
  lt_u: binary<"i32", "i32">("i32", 0x49),
  gt_s: binary<"i32", "i32">("i32", 0x4a),
  gt_u: binary<"i32", "i32">("i32", 0x4b),
  le_s: binary<"i32", "i32">("i32", 0x4c),
  le_u: binary<"i32", "i32">("i32", 0x4d),
  ge_s: binary<"i32", "i32">("i32", 0x4e),
  ge_u: binary<"i32", "i32">("i32", 0x4f),
  clz: unary<"i32", "i32">("i32", 0x67),
  ctz: unary<"i32", "i32">("i32", 0x68),
  popcnt: unary<"i32", "i32">("i32", 0x69),
  add: (a: I32, b: I32): I32 => related(plain("i32", 0x6a, a, b), relativeStep(a, b, 1n)),
  sub: (a: I32, b: I32): I32 => related(plain("i32", 0x6b, a, b), relativeStep(a, b, -1n)),
  mul: binary<"i32", "i32">("i32", 0x6c),
  div_s: binary<"i32", "i32">("i32", 0x6d),
  div_u: binary<"i32", "i32">("i32", 0x6e),
  rem_s: binary<"i32", "i32">("i32", 0x6f),
  rem_u: binary<"i32", "i32">("i32", 0x70),
  and: binary<"i32", "i32">("i32", 0x71),
  or: binary<"i32", "i32">("i32", 0x72),
  xor: binary<"i32", "i32">("i32", 0x73),
  shl: binary<"i32", "i32">("i32", 0x74),
  shr_s: binary<"i32", "i32">("i32", 0x75),
  shr_u: binary<"i32", "i32">("i32", 0x76),
  rotl: binary<"i32", "i32">("i32", 0x77),
  rotr: binary<"i32", "i32">("i32", 0x78),
  wrap_i64: (a: I64): I32 => related(plain("i32", 0xa7, a), a.relative),
  extend8_s: unary<"i32", "i32">("i32", 0xc0),
  extend16_s: unary<"i32", "i32">("i32", 0xc1),
  reinterpret_f32: unary<"f32", "i32">("i32", 0xbc),
};

/** 64-bit integer operations, by their WebAssembly names. */
export const i64 = {
  const: (value: bigint | number): I64 => ({
    type: "i64",
    constant: BigInt.asIntN(64, BigInt(value)),
    emit: (out) => {
      out.byte(0x42);
      if (typeof value === "number" && value === (value | 0)) out.s32(value);
      else out.s64(BigInt(value));
    },
  }),
  load: loads("i64", 0x29),
  load8_s: loads("i64", 0x30),
  load8_u: loads("i64", 0x31),
  load16_s: loads("i64", 0x32),
  load16_u: loads("i64", 0x33),
  load32_s: loads("i64", 0x34),
  load32_u: loads("i64", 0x35),
  eqz: unary<"i64", "i32">("i32", 0x50),
  eq: binary<"i64", "i32">("i32", 0x51),
  ne: binary<"i64", "i32">("i32", 0x52),
  lt_s: binary<"i64", "i32">("i32", 0x53),
  lt_u: binary<"i64", "i32">("i32", 0x54),
  gt_s: binary<"i64", "i32">("i32", 0x55),
  gt_u: binary<"i64", "i32">("i32", 0x56),
  le_s: binary<"i64", "i32">("i32", 0x57),
  le_u: binary<"i64", "i32">("i32", 0x58),
  ge_s: binary<"i64", "i32">("i32", 0x59),
  ge_u: binary<"i64", "i32">("i32", 0x5a),
  clz: unary<"i64", "i64">("i64", 0x79),
  ctz: unary<"i64", "i64">("i64", 0x7a),
  popcnt: unary<"i64", "i64">("i64", 0x7b),
  add: (a: I64, b: I64): I64 => related(plain("i64", 0x7c, a, b), relativeSum(a, b, 1n)),
  sub: (a: I64, b: I64): I64 => related(plain("i64", 0x7d, a, b), relativeSum(a, b, -1n)),
  mul: binary<"i64", "i64">("i64", 0x7e),
  div_s: binary<"i64", "i64">("i64", 0x7f),
  div_u: binary<"i64", "i64">("i64", 0x80),
  rem_s: binary<"i64", "i64">("i64", 0x81),
  rem_u: binary<"i64", "i64">("i64", 0x82),
  and: binary<"i64", "i64">("i64", 0x83),
  or: binary<"i64", "i64">("i64", 0x84),
  xor: binary<"i64", "i64">("i64", 0x85),
  shl: (a: I64, b: I64): I64 => related(plain("i64", 0x86, a, b), relativeShift(a, b)),
  shr_s: binary<"i64", "i64">("i64", 0x87),
  shr_u: binary<"i64", "i64">("i64", 0x88),
  rotl: binary<"i64", "i64">("i64", 0x89),
  rotr: binary<"i64", "i64">("i64", 0x8a),
  extend_i32_s: unary<"i32", "i64">("i64", 0xac),
  extend_i32_u: unary<"i32", "i64">("i64", 0xad),
  /** Traps for what is no signed 64-bit integer. */
  trunc_f64_s: unary<"f64", "i64">("i64", 0xb0),
  extend8_s: unary<"i64", "i64">("i64", 0xc2),
  extend16_s: unary<"i64", "i64">("i64", 0xc3),
  extend32_s: unary<"i64", "i64">("i64", 0xc4),
  reinterpret_f64: unary<"f64", "i64">("i64", 0xbd),
};

/** Operations on one floating-point type; its opcodes differ by a fixed distance from the other's. */
function float<T extends "f32" | "f64">(
  type: T,
  compare: number,
  arithmetic: number,
  load: number,
) {
  return {
    load: loads(type, load),
    eq: binary<T, "i32">("i32", compare),
    ne: binary<T, "i32">("i32", compare + 1),
    lt: binary<T, "i32">("i32", compare + 2),
    gt: binary<T, "i32">("i32", compare + 3),
    le: binary<T, "i32">("i32", compare + 4),
    ge: binary<T, "i32">("i32", compare + 5),
    abs: unary<T, T>(type, arithmetic),
    neg: unary<T, T>(type, arithmetic + 1),
    ceil: unary<T, T>(type, arithmetic + 2),
    floor: unary<T, T>(type, arithmetic + 3),
    trunc: unary<T, T>(type, arithmetic + 4),
    nearest: unary<T, T>(type, arithmetic + 5),
    sqrt: unary<T, T>(type, arithmetic + 6),
    add: binary<T, T>(type, arithmetic + 7),
    sub: binary<T, T>(type, arithmetic + 8),
    mul: binary<T, T>(type, arithmetic + 9),
    div: binary<T, T>(type, arithmetic + 10),
  };
}

/** Single-precision operations, by their WebAssembly names. */
export const f32 = {
  ...float("f32", 0x5b, 0x8b, 0x2a),
  const: (value: number): F32 =>
    operation("f32", [], (out) => {
      out.byte(0x43);
      out.f32(value);
    }),
  convert_i32_s: unary<"i32", "f32">("f32", 0xb2),
  convert_i64_s: unary<"i64", "f32">("f32", 0xb4),
  demote_f64: unary<"f64", "f32">("f32", 0xb6),
  reinterpret_i32: unary<"i32", "f32">("f32", 0xbe),
};

/** Double-precision operations, by their WebAssembly names. */
export const f64 = {
  ...float("f64", 0x61, 0x99, 0x2b),
  const: (value: number): F64 =>
    operation("f64", [], (out) => {
      out.byte(0x44);
      out.f64(value);
    }),
  convert_i32_s: unary<"i32", "f64">("f64", 0xb7),
  convert_i64_s: unary<"i64", "f64">("f64", 0xb9),
  promote_f32: unary<"f32", "f64">("f64", 0xbb),
  reinterpret_i64: unary<"i64", "f64">("f64", 0xbf),
};

/** Saturating float-to-integer conversions: never trap (0xfc 0…7). */
export const truncSat = {
  i32_f32_s: (a: F32): I32 => prefixed("i32", 0, a),
  i32_f64_s: (a: F64): I32 => prefixed("i32", 2, a),
  i64_f32_s: (a: F32): I64 => prefixed("i64", 4, a),
  i64_f64_s: (a: F64): I64 => prefixed("i64", 6, a),
};

function prefixed<T extends ValueType>(type: T, opcode: number, ...operands: Expr[]): Expr<T> {
  return operation(type, operands, (out) => {
    out.byte(0xfc);
    out.u32(opcode);
  });
}

/** `condition ? a : b` without a branch; both sides are evaluated. */
export function select<T extends "i32" | "i64" | "f32" | "f64">(
  condition: I32,
  a: Expr<T>,
  b: Expr<T>,
): Expr<T> {
  return operation(a.type, [a, b, condition], (out) => out.byte(0x1b));
}
