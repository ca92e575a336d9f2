import { i32, i64, select } from "../wasm/index.ts";
import type { I32, I64, Int } from "../wasm/index.ts";
import type { FlagOperation, InstructionContext, ShiftOperation, Width } from "./context.ts";
import { and, constant, not, or, shr_u, signExtend64, toI32, toI64, xor } from "./integer-ops.ts";

/**
 * Status flags are kept as two words from which each flag follows without knowing the operation
 * (`State.FlagResult`, `State.FlagCarries`): most are never asked for.
 */

/** CF and OF live in the top two bits of the carries' high half, AF in bit 3 of the low half. */
const CF_BIT = 0x8000_0000 | 0;
const PO_BIT = 0x4000_0000;
const AF_BIT = 8;

/** Flags of a logical operation: CF, OF and AF clear (AF is undefined; processors clear it). */
export function setLogicFlags(s: InstructionContext, width: Width, result: Int): void {
  s.setOperationFlags("logic", width, result, result, result);
}

/** All flags of `a + b = result`; operands must be bound values. */
export function setAddFlags(
  s: InstructionContext,
  width: Width,
  a: Int,
  b: Int,
  result: Int,
): void {
  s.setOperationFlags("add", width, a, b, result);
}

/** All flags of `a - b = result`. */
export function setSubFlags(
  s: InstructionContext,
  width: Width,
  a: Int,
  b: Int,
  result: Int,
): void {
  s.setOperationFlags("sub", width, a, b, result);
}

/** The bits carried out of each position by `a + b (+ carry) = result`. */
export function carriesOut(a: Int, b: Int, result: Int): Int {
  return or(and(a, b), and(or(a, b), not(result)));
}

/** The bits borrowed at each position by `a - b (- borrow) = result`. */
export function borrowsOut(a: Int, b: Int, result: Int): Int {
  return or(and(not(a), b), and(not(xor(a, b)), result));
}

/** The top two carries of a value of `width` bits, at bits 31 and 30. */
function topCarries(width: Width, carries: Int): I32 {
  const high =
    width === 64
      ? toI32(shr_u(carries, constant(64, 32)))
      : width === 32
        ? toI32(carries)
        : i32.shl(toI32(carries), i32.const(32 - width));
  return i32.and(high, i32.const(CF_BIT | PO_BIT));
}

/** Works out the two words of an operation's flags and stores them. */
export function setWordsOf(
  s: InstructionContext,
  operation: FlagOperation,
  width: Width,
  a: Int,
  b: Int,
  result: Int,
): void {
  const extended = signExtend64(width, result);
  if (operation === "logic") {
    s.setFlagWords(extended, i32.const(0), i32.const(0));
    return;
  }
  if (isShift(operation)) {
    const [old, count, shifted] = [toI64(a), toI64(b), toI64(result)];
    const { carry, overflow } = shiftedOut(operation, i64.const(width), old, count, shifted);
    const cf = s.f.let(carry);
    s.setFlagWords(extended, i32.const(0), carryWord(cf, overflow));
    return;
  }
  const adds = operation === "add" || operation === "adc" || operation === "inc";
  const carries = s.f.let(adds ? carriesOut(a, b, result) : borrowsOut(a, b, result));
  const low = i32.and(toI32(carries), i32.const(AF_BIT));
  if (operation === "inc" || operation === "dec") {
    const cf = s.f.let(carryFlag(s));
    const top = s.f.let(topCarries(width, carries));
    // OF is bit 31 ^ bit 30; keep it while bit 31 becomes the old CF.
    const of = i32.xor(i32.shr_u(top, i32.const(31)), i32.shr_u(top, i32.const(30)));
    s.setFlagWords(extended, low, carryWord(cf, of));
  } else s.setFlagWords(extended, low, topCarries(width, carries));
}

/** Sets CF and OF from values whose bit 0 counts, AF from bit 3 of `low`. The result word is left alone. */
export function setCarryAndOverflow(s: InstructionContext, low: I32, cf: I32, of: I32): void {
  const carry = s.f.let(cf);
  s.setFlagCarries(low, carryWord(carry, of));
}

/** Flags of a double shift: CF and OF given, AF clear, the others from the result. */
export function setDoubleShiftFlags(
  s: InstructionContext,
  width: Width,
  result: Int,
  cf: I32,
  of: I32,
): void {
  const carry = s.f.let(cf);
  s.setFlagWords(signExtend64(width, result), i32.const(0), carryWord(carry, of));
}

export const isShift = (operation: FlagOperation): operation is ShiftOperation =>
  operation === "shl" || operation === "shr" || operation === "sar";

/**
 * The last bit that a shift moved out, and OF, both as 0 or 1. The width may be known at run time only.
 * @param old the operand, zero-extended; @param count not zero, less than 32 for operands below 64 bits.
 */
export function shiftedOut(
  operation: ShiftOperation,
  width: I64,
  old: I64,
  count: I64,
  result: I64,
): { carry: I32; overflow: I32 } {
  const one = i64.const(1);
  const bit = (value: I64, position: I64): I32 =>
    i32.and(i32.wrap_i64(i64.shr_u(value, position)), i32.const(1));
  const top = bit(result, i64.sub(width, one));
  if (operation === "shl") {
    // A count beyond the width makes this a shift by more than the operand has bits.
    const carry = bit(old, i64.sub(width, count));
    return { carry, overflow: i32.xor(top, carry) };
  }
  const before = i64.sub(count, one);
  if (operation === "shr") {
    const next = bit(result, i64.sub(width, i64.const(2)));
    return { carry: bit(old, before), overflow: i32.xor(top, next) };
  }
  const above = i64.sub(i64.const(64), width);
  const signed = i64.shr_s(i64.shl(old, above), above);
  return { carry: bit(i64.shr_s(signed, before), i64.const(0)), overflow: i32.const(0) };
}

/** CF and OF where the carries' high half has them. */
function carryWord(carry: I32, of: I32): I32 {
  return i32.or(
    i32.shl(carry, i32.const(31)),
    i32.shl(i32.and(i32.xor(carry, of), i32.const(1)), i32.const(30)),
  );
}

/** Replaces CF and leaves the five others. */
export function setCarry(s: InstructionContext, cf: I32): void {
  const old = s.f.let(s.flagCarries());
  const carry = s.f.let(cf);
  const of = i32.xor(
    i32.and(toI32(shr_u(old, constant(64, 63))), i32.const(1)),
    i32.and(toI32(shr_u(old, constant(64, 62))), i32.const(1)),
  );
  setCarryAndOverflow(s, toI32(old), carry, of);
}

/** ZF and CF from two conditions, the four other flags clear (POPCNT, PTEST, COMISS of ordered values). */
export function setZeroAndCarry(s: InstructionContext, zero: I32, carry: I32): void {
  const zf = s.f.let(zero);
  const cf = s.f.let(carry);
  const result = i64.extend_i32_u(i32.shl(i32.eqz(zf), i32.const(8)));
  // The result's low byte is zero: with one bit inverted its parity is odd.
  s.setFlagWords(result, i32.const(0x100), select(cf, i32.const(CF_BIT | PO_BIT), i32.const(0)));
}

/** Sets OF and CF, leaving SF, ZF, AF and PF (rotates). */
export function setRotateFlags(s: InstructionContext, cf: I32, of: I32): void {
  setCarryAndOverflow(s, toI32(s.f.let(s.flagCarries())), cf, of);
}

/** Loads all six flags from an EFLAGS image, of which only the bits in `mask` need be right. */
export function loadStatusFlags(s: InstructionContext, flags: I32): void {
  const bit = (position: number): I32 =>
    i32.and(i32.shr_u(flags, i32.const(position)), i32.const(1));
  // A result with an even low byte and a clear sign; the carries word then inverts SF and PF as needed.
  const result = i64.extend_i32_u(i32.shl(i32.xor(bit(6), i32.const(1)), i32.const(8)));
  const low = i32.or(
    i32.or(bit(7), i32.shl(bit(4), i32.const(3))),
    i32.shl(i32.xor(bit(2), i32.const(1)), i32.const(8)),
  );
  const carry = s.f.let(bit(0));
  s.setFlagWords(result, low, carryWord(carry, bit(11)));
}

/** Each flag as 0 or 1. */
export function carryFlag(s: InstructionContext): I32 {
  return toI32(shr_u(s.flagCarries(), constant(64, 63)));
}

export function overflowFlag(s: InstructionContext): I32 {
  const carries = s.f.let(toI32(shr_u(s.flagCarries(), constant(64, 32))));
  return i32.shr_u(i32.xor(carries, i32.shl(carries, i32.const(1))), i32.const(31));
}

export function zeroFlag(s: InstructionContext): I32 {
  return i64.eqz(s.flagResult());
}

export function signFlag(s: InstructionContext): I32 {
  return i32.xor(
    toI32(shr_u(s.flagResult(), constant(64, 63))),
    i32.and(toI32(s.flagCarries()), i32.const(1)),
  );
}

export function parityFlag(s: InstructionContext): I32 {
  const delta = i32.shr_u(toI32(s.flagCarries()), i32.const(8));
  const byte = i32.and(i32.xor(toI32(s.flagResult()), delta), i32.const(0xff));
  return i32.eqz(i32.and(i32.popcnt(byte), i32.const(1)));
}

export function adjustFlag(s: InstructionContext): I32 {
  return i32.and(i32.shr_u(toI32(s.flagCarries()), i32.const(3)), i32.const(1));
}

/** The six flags as they stand in EFLAGS. */
export function statusFlags(s: InstructionContext): I32 {
  const at = (flag: I32, position: number): I32 => i32.shl(flag, i32.const(position));
  return i32.or(
    i32.or(
      i32.or(carryFlag(s), at(parityFlag(s), 2)),
      i32.or(at(adjustFlag(s), 4), at(zeroFlag(s), 6)),
    ),
    i32.or(at(signFlag(s), 7), at(overflowFlag(s), 11)),
  );
}

/** A condition code 0–15 (O, NO, B, AE, E, NE, BE, A, S, NS, P, NP, L, GE, LE, G) as 0 or 1. */
export function conditionHolds(s: InstructionContext, code: number): I32 {
  const known = s.knownCondition(code);
  if (known !== undefined) return known;
  const less = (): I32 => i32.xor(signFlag(s), overflowFlag(s));
  const base = [
    () => overflowFlag(s),
    () => carryFlag(s),
    () => zeroFlag(s),
    () => i32.or(carryFlag(s), zeroFlag(s)),
    () => signFlag(s),
    () => parityFlag(s),
    less,
    () => i32.or(less(), zeroFlag(s)),
  ][code >> 1];
  if (base === undefined) throw new RangeError(`condition code ${code}`);
  return code & 1 ? i32.eqz(base()) : base();
}

/** The flag words for JavaScript: composes EFLAGS' six status bits from them. */
export function composeStatusFlags(
  resultLow: number,
  resultHigh: number,
  carriesLow: number,
  carriesHigh: number,
): number {
  const parityByte = (resultLow ^ (carriesLow >>> 8)) & 0xff;
  let parity = parityByte ^ (parityByte >> 4);
  parity ^= parity >> 2;
  parity ^= parity >> 1;
  const cf = carriesHigh >>> 31;
  return (
    cf |
    ((~parity & 1) << 2) |
    (((carriesLow >>> 3) & 1) << 4) |
    ((resultLow | resultHigh) === 0 ? 1 << 6 : 0) |
    (((resultHigh >>> 31) ^ (carriesLow & 1)) << 7) |
    ((cf ^ ((carriesHigh >>> 30) & 1)) << 11)
  );
}

/** The inverse of `composeStatusFlags`: [result low, carries low, carries high]; the result's high half is 0. */
export function splitStatusFlags(flags: number): [number, number, number] {
  const cf = flags & 1;
  const of = (flags >> 11) & 1;
  const low = ((flags >> 7) & 1) | (((flags >> 4) & 1) << 3) | ((~(flags >> 2) & 1) << 8);
  return [flags & 0x40 ? 0 : 0x100, low, (cf << 31) | ((cf ^ of) << 30)];
}
