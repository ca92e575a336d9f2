import { i32, i64 } from "../wasm/index.ts";
import type { I32, I64, Int } from "../wasm/index.ts";
import { widthOf } from "./arithmetic.ts";
import type {
  Description,
  Descriptions,
  InstructionContext,
  ShiftOperation,
  Width,
} from "./context.ts";
import { carryFlag, setRotateFlags, setDoubleShiftFlags } from "./flags.ts";
import { constant, or, shl, shr_s, shr_u, signExtend, sub, toI32, toI64 } from "./integer-ops.ts";

/** Writes the flags of a rotate from CF (bit 0) and OF (bit 0). */
type FlagWriter = (cf: I32, of: I32) => void;

/** The masked count as i32: 5 bits, 6 for 64-bit operands. */
function countOf(s: InstructionContext, width: Width, operand: number): I32 {
  const mask = width === 64 ? 63 : 31;
  const count = toI32(s.get(operand));
  // A translated region knows an immediate count.
  if (typeof count.constant === "number") return i32.const(count.constant & mask);
  return i32.and(count, i32.const(mask));
}

/** With a count of zero nothing happens. */
function unlessZero(s: InstructionContext, count: I32, body: () => void): void {
  if (count.constant === undefined) s.f.if(count, body);
  else if (count.constant !== 0) body();
}

/** A count or other small number in the type of the operand. */
const typed = (width: Width, value: I32): Int => (width === 64 ? i64.extend_i32_u(value) : value);

const bit = (value: Int, position: Int): I32 =>
  i32.and(toI32(shr_u(value, position)), i32.const(1));

const top = (width: Width, value: Int): I32 => bit(value, constant(width, width - 1));
const next = (width: Width, value: Int): I32 => bit(value, constant(width, width - 2));

/**
 * A shift or rotate of operand 0 by operand 1. With a count of zero nothing changes, flags included, but
 * memory is still read and written.
 */
function shifter(
  body: (s: InstructionContext, width: Width, old: Int, count: I32) => Int,
): Description {
  return {
    describe(s) {
      const { f } = s;
      const width = widthOf(s, 0);
      const count = f.let(countOf(s, width, 1));
      s.update(0, (old) => {
        if (count.constant !== undefined && count.constant !== 0) return body(s, width, old, count);
        const result = width === 64 ? f.local("i64") : f.local("i32");
        const assign = (value: Int): void => {
          if (result.type === "i64") f.set(result, toI64(value));
          else f.set(result, toI32(value));
        };
        assign(old);
        unlessZero(s, count, () => assign(body(s, width, old, count)));
        return result.get;
      });
    },
  };
}

const shift = (operation: ShiftOperation, shifted: (old: Int, by: Int) => Int): Description =>
  shifter((s, width, old, count) => {
    const amount = s.f.let(typed(width, count));
    const value = operation === "sar" ? s.f.let(signExtend(width, old)) : old;
    const result = s.f.let(shifted(value, amount));
    s.setOperationFlags(operation, width, old, amount, result);
    return result;
  });

const rotate = (
  body: (s: InstructionContext, width: Width, old: Int, count: I32, write: FlagWriter) => Int,
): Description =>
  shifter((s, width, old, count) =>
    body(s, width, old, count, (cf, of) => {
      const carry = s.f.let(cf);
      setRotateFlags(s, carry, s.f.let(of));
    }),
  );

/** A rotation of the low `width` bits by any count. */
function rotated(width: Width, value: Int, count: I32, direction: "left" | "right"): Int {
  if (width === 64) {
    const amount = i64.extend_i32_u(count);
    return direction === "left" ? i64.rotl(value as I64, amount) : i64.rotr(value as I64, amount);
  }
  const word = toI32(value);
  if (width === 32) return direction === "left" ? i32.rotl(word, count) : i32.rotr(word, count);
  const amount = i32.and(count, i32.const(width - 1));
  const back = i32.and(i32.sub(i32.const(width), amount), i32.const(width - 1));
  const [left, right] = direction === "left" ? [amount, back] : [back, amount];
  const both = i32.or(i32.shl(word, left), i32.shr_u(word, right));
  return i32.and(both, i32.const(2 ** width - 1));
}

const rotateLeft = rotate((s, width, old, count, write) => {
  const result = s.f.let(rotated(width, old, count, "left"));
  const carry = s.f.let(i32.and(toI32(result), i32.const(1)));
  write(carry, i32.xor(top(width, result), carry));
  return result;
});

const rotateRight = rotate((s, width, old, count, write) => {
  const result = s.f.let(rotated(width, old, count, "right"));
  const carry = s.f.let(top(width, result));
  write(carry, i32.xor(carry, next(width, result)));
  return result;
});

/** Rotates of `width + 1` bits through CF. */
function rotateCarry(direction: "left" | "right"): Description {
  return rotate((s, width, old, count, write) => {
    const { f } = s;
    const carryIn = f.let(i64.extend_i32_u(carryFlag(s)));
    if (width === 64) {
      const value = toI64(old);
      const amount = f.let(i64.extend_i32_u(count));
      const rest = f.let(i64.sub(i64.const(64), amount));
      const one = i64.const(1);
      const [result, cf] =
        direction === "left"
          ? [
              i64.or(
                i64.or(i64.shl(value, amount), i64.shl(carryIn, i64.sub(amount, one))),
                i64.shr_u(i64.shr_u(value, one), rest),
              ),
              bit(value, rest),
            ]
          : [
              i64.or(
                i64.or(i64.shr_u(value, amount), i64.shl(carryIn, rest)),
                i64.shl(i64.shl(value, one), rest),
              ),
              bit(value, i64.sub(amount, one)),
            ];
      const carry = f.let(cf);
      const kept = f.let(result);
      write(carry, rotateOverflow(width, kept, carry, direction));
      return kept;
    }
    const turn = width === 32 ? count : i32.rem_u(count, i32.const(width + 1));
    const amount = f.let(i64.extend_i32_u(turn));
    const rest = f.let(i64.sub(i64.const(width + 1), amount));
    const whole = f.let(i64.or(toI64(old), i64.shl(carryIn, i64.const(width))));
    const [left, right] = direction === "left" ? [amount, rest] : [rest, amount];
    const turned = f.let(i64.or(i64.shl(whole, left), i64.shr_u(whole, right)));
    const result = f.let(i32.wrap_i64(i64.and(turned, i64.const(2n ** BigInt(width) - 1n))));
    const carry = f.let(bit(turned, i64.const(width)));
    write(carry, rotateOverflow(width, result, carry, direction));
    return result;
  });
}

function rotateOverflow(width: Width, result: Int, carry: I32, direction: "left" | "right"): I32 {
  return direction === "left"
    ? i32.xor(top(width, result), carry)
    : i32.xor(top(width, result), next(width, result));
}

/** SHLD and SHRD: bits of operand 1 move into operand 0. 16-bit counts above 16 are undefined. */
function double(direction: "left" | "right"): Description {
  return {
    group: "rare",
    describe(s) {
      const { f } = s;
      const width = widthOf(s, 0);
      const count = f.let(countOf(s, width, 2));
      const source = f.let(s.get(1));
      s.update(0, (old) => {
        const result = width === 64 ? f.local("i64") : f.local("i32");
        const assign = (value: Int): void => {
          if (result.type === "i64") f.set(result, toI64(value));
          else f.set(result, toI32(value));
        };
        assign(old);
        unlessZero(s, count, () => {
          const { value, cf } = doubleShift(s, width, old, source, count, direction);
          const carry = f.let(cf);
          const kept = f.let(value);
          const of = i32.xor(top(width, kept), top(width, old));
          setDoubleShiftFlags(s, width, kept, carry, of);
          assign(kept);
        });
        return result.get;
      });
    },
  };
}

function doubleShift(
  s: InstructionContext,
  width: Width,
  old: Int,
  source: Int,
  count: I32,
  direction: "left" | "right",
): { value: Int; cf: I32 } {
  const { f } = s;
  const amount = f.let(typed(width, count));
  const rest = f.let(sub(constant(width, width), amount));
  const one = constant(width, 1);
  if (width !== 16) {
    return direction === "left"
      ? { value: or(shl(old, amount), shr_u(source, rest)), cf: bit(old, rest) }
      : { value: or(shr_u(old, amount), shl(source, rest)), cf: bit(old, sub(amount, one)) };
  }
  // Past 16 the processor goes on shifting the destination in behind the source.
  const a = i64.extend_i32_u(toI32(old));
  const b = i64.extend_i32_u(toI32(source));
  const by = i64.extend_i32_u(count);
  if (direction === "left") {
    const wide = i64.or(i64.or(i64.shl(a, i64.const(32)), i64.shl(b, i64.const(16))), a);
    const shifted = f.let(i64.shl(wide, by));
    return {
      value: i32.and(i32.wrap_i64(i64.shr_u(shifted, i64.const(32))), i32.const(0xffff)),
      cf: bit(shifted, i64.const(48)),
    };
  }
  const wide = f.let(i64.or(i64.or(a, i64.shl(b, i64.const(16))), i64.shl(a, i64.const(32))));
  return {
    value: i32.and(i32.wrap_i64(i64.shr_u(wide, by)), i32.const(0xffff)),
    cf: bit(wide, i64.sub(by, i64.const(1))),
  };
}

/** Shifts and rotates (Intel SDM vol. 1, 5.1.5). */
export const shifts: Descriptions = {
  shl: shift("shl", shl),
  sal: shift("shl", shl),
  shr: shift("shr", shr_u),
  sar: shift("sar", shr_s),
  rol: { ...rotateLeft, group: "rare" },
  ror: { ...rotateRight, group: "rare" },
  rcl: { ...rotateCarry("left"), group: "rare" },
  rcr: { ...rotateCarry("right"), group: "rare" },
  shld: double("left"),
  shrd: double("right"),
};
