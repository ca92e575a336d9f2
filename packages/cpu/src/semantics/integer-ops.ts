import { i32, i64, select } from "../wasm/index.ts";
import type { FunctionBuilder, I32, I64, Int } from "../wasm/index.ts";
import type { Width } from "./context.ts";

/** Operations that choose the WebAssembly instruction by the type of their operands. */

type Name32 = Exclude<keyof typeof i32, "const" | "wrap_i64" | "reinterpret_f32">;

const pair =
  (name: Name32 & keyof typeof i64) =>
  (a: Int, b: Int): Int => {
    if (a.type === "i64" && b.type === "i64") {
      return (i64[name] as (x: I64, y: I64) => I64)(a, b);
    }
    if (a.type === "i32" && b.type === "i32") {
      return (i32[name] as (x: I32, y: I32) => I32)(a, b);
    }
    throw new TypeError(`${name} of ${a.type} and ${b.type}`);
  };

const compare = (name: Name32 & keyof typeof i64) => pair(name) as (a: Int, b: Int) => I32;

export const add = pair("add");
export const sub = pair("sub");
export const mul = pair("mul");
export const and = pair("and");
export const or = pair("or");
export const xor = pair("xor");
export const shl = pair("shl");
export const shr_u = pair("shr_u");
export const shr_s = pair("shr_s");
export const div_u = pair("div_u");
export const rem_u = pair("rem_u");
export const div_s = pair("div_s");
export const rem_s = pair("rem_s");
export const eq = compare("eq");
export const ne = compare("ne");
export const lt_u = compare("lt_u");
export const gt_u = compare("gt_u");
export const le_u = compare("le_u");
export const ge_u = compare("ge_u");
export const lt_s = compare("lt_s");

/** Whether a value is 64-bit. */
export const isLong = (a: Int): a is I64 => a.type === "i64";

export const eqz = (a: Int): I32 => (a.type === "i64" ? i64.eqz(a) : i32.eqz(a));

/** `condition ? a : b`; both are evaluated. */
export const choose = (condition: I32, a: Int, b: Int): Int =>
  a.type === "i64" ? select(condition, a, b as I64) : select(condition, a, b as I32);

/** A constant of the type that values of `width` have. */
export const constant = (width: Width, value: number | bigint): Int =>
  width === 64 ? i64.const(value) : i32.const(Number(BigInt.asIntN(32, BigInt(value))));

export const not = (a: Int): Int =>
  a.type === "i64" ? i64.xor(a, i64.const(-1)) : i32.xor(a, i32.const(-1));

/** The value as i64; i32 values are zero-extended. */
export const toI64 = (a: Int): I64 => (a.type === "i64" ? a : i64.extend_i32_u(a));

/** The low half as i32. */
export const toI32 = (a: Int): I32 => (a.type === "i64" ? i32.wrap_i64(a) : a);

/** Clears the bits above `width`. */
export function zeroExtend(width: Width, a: Int): Int {
  if (width === 8 || width === 16) return i32.and(toI32(a), i32.const(2 ** width - 1));
  return a;
}

/** Sign-extends the low `width` bits to the type's size. */
export function signExtend(width: Width, a: Int): Int {
  if (width === 8) return a.type === "i64" ? i64.extend8_s(a) : i32.extend8_s(a);
  if (width === 16) return a.type === "i64" ? i64.extend16_s(a) : i32.extend16_s(a);
  if (width === 32 && a.type === "i64") return i64.extend32_s(a);
  return a;
}

/** Sign-extends the low `width` bits to i64. */
export function signExtend64(width: Width, a: Int): I64 {
  if (width === 64) return toI64(a);
  const value = signExtend(width, a);
  return value.type === "i64" ? value : i64.extend_i32_s(value);
}

/** The bytes in reverse order. */
export function swapBytes(f: FunctionBuilder, width: 16 | 32 | 64, a: Int): Int {
  if (width === 64) {
    const value = f.let(toI64(a));
    const low = toI64(swapBytes(f, 32, i32.wrap_i64(value)));
    const high = swapBytes(f, 32, i32.wrap_i64(i64.shr_u(value, i64.const(32))));
    return i64.or(i64.shl(low, i64.const(32)), toI64(high));
  }
  const value = f.let(toI32(a));
  if (width === 16) {
    return zeroExtend(16, i32.or(i32.shl(value, i32.const(8)), i32.shr_u(value, i32.const(8))));
  }
  const even = i32.and(i32.rotl(value, i32.const(8)), i32.const(0x00ff00ff));
  const odd = i32.and(i32.rotr(value, i32.const(8)), i32.const(0xff00ff00 | 0));
  return i32.or(even, odd);
}
