import { State } from "../state/layout.ts";
import { i16x8, i32, i64x2, unlikely, v128 } from "../wasm/index.ts";
import type { I32, V128 } from "../wasm/index.ts";
import type { Description, InstructionContext } from "./context.ts";
import { toI32 } from "./integer-ops.ts";

/**
 * Operands of MMX and SSE instructions. An MMX register, or memory of less than 128 bits, is the low part of a
 * vector with zeros above, so that one description of lanes serves both register files.
 */

const MATH_FAULT = 16;
/** ES, in the 32 bits that hold the x87 control and status words. */
const PENDING_X87 = 0x80 << 16;
/** TOP in the same 32 bits. */
const TOP = 0x3800 << 16;
/** Abridged tags. */
const ALL_VALID = 0xff;
const ALL_EMPTY = 0;

export const ZERO: V128 = v128.const(Array.from({ length: 16 }, () => 0));

/** A constant vector from lanes of `size` bytes, lowest first. */
export function lanes(size: 1 | 2 | 4 | 8, values: readonly (number | bigint)[]): V128 {
  const bytes = values.flatMap((value) =>
    Array.from({ length: size }, (_, i) => Number((BigInt(value) >> BigInt(8 * i)) & 0xffn)),
  );
  return v128.const(bytes);
}

/** A constant vector of equal lanes. */
export function splat(size: 1 | 2 | 4 | 8, value: number | bigint): V128 {
  return lanes(
    size,
    Array.from({ length: 16 / size }, () => value),
  );
}

/** Byte numbers 0–15. */
export const IOTA: V128 = v128.const(Array.from({ length: 16 }, (_, i) => i));

export function isMmx(s: InstructionContext): boolean {
  return s.shape.operands.some((operand) => operand.class === "mmx");
}

/** The value of a vector operand; memory of 128 bits must be aligned. */
export function source(s: InstructionContext, operand: number): V128 {
  const shape = s.shape.operands[operand];
  if (shape?.class === "mmx") return i64x2.replace_lane(ZERO, 0, asLong(s, operand));
  if (shape?.class !== "memory" || shape.bits === 128) return s.getVector(operand, true);
  const load = { 64: v128.load64_zero, 32: v128.load32_zero }[shape.bits];
  if (load === undefined) return i16x8.replace_lane(ZERO, 0, toI32(s.get(operand)));
  return s.f.let(load(s.translate(s.address(), shape.bits / 8, "read")));
}

/** The low 64 bits of an operand with zeros above. */
export function lowHalf(s: InstructionContext, operand: number): V128 {
  if (s.shape.operands[operand]?.class === "memory") return source(s, operand);
  return i64x2.replace_lane(ZERO, 0, asLong(s, operand));
}

function asLong(s: InstructionContext, operand: number): ReturnType<typeof i64x2.extract_lane> {
  const value = s.getLow(operand, 64);
  if (value.type !== "i64") throw new TypeError("a 64-bit operand is an i64");
  return value;
}

/** Writes the destination, an XMM or MMX register. */
export function write(s: InstructionContext, value: V128): void {
  if (s.shape.operands[0]?.class === "mmx") s.setLow(0, 64, i64x2.extract_lane(value, 0));
  else s.setVector(0, value);
}

/**
 * An instruction that may have MMX operands: with them a waiting x87 exception comes first, and the x87's
 * registers become MMX registers (Intel SDM vol. 1, 9.5). The description must come to its end.
 */
export function vector(
  describe: (s: InstructionContext) => void,
  group: "main" | "vector" = "vector",
): Description {
  return {
    group,
    describe(s) {
      const mmx = isMmx(s);
      if (mmx) raisePendingX87(s);
      describe(s);
      if (mmx) enterMmx(s);
    },
  };
}

/** #MF if an unmasked x87 exception waits. */
export function raisePendingX87(s: InstructionContext): void {
  const pending = i32.and(s.state32(State.FpuControl), i32.const(PENDING_X87));
  s.f.if(unlikely(pending), () => s.raise(MATH_FAULT));
}

function setTags(s: InstructionContext, tags: number): void {
  s.setState32(State.FpuControl, i32.and(s.state32(State.FpuControl), i32.const(~TOP)));
  s.setState32(State.FpuTag, i32.const(tags));
}

/** What every MMX instruction does: TOP = 0, all registers valid. */
export const enterMmx = (s: InstructionContext): void => setTags(s, ALL_VALID);

/** EMMS: all registers empty. */
export const leaveMmx = (s: InstructionContext): void => setTags(s, ALL_EMPTY);

/** `destination = operate(destination, source)`. */
export function binary(
  operate: (a: V128, b: V128, s: InstructionContext) => V128,
  group?: "main" | "vector",
): Description {
  return vector((s) => {
    const b = s.f.let(source(s, 1));
    const a = s.f.let(source(s, 0));
    write(s, operate(a, b, s));
  }, group);
}

/** `destination = operate(source)`. */
export function unary(operate: (b: V128, s: InstructionContext) => V128): Description {
  return vector((s) => write(s, operate(s.f.let(source(s, 1)), s)));
}

/** Leaves the instruction to its helper, which finds the source operand in `State.VectorSource`. */
export function helpWith(s: InstructionContext, value: V128): void {
  s.setState128(State.VectorSource, value);
  s.help();
}

/** An instruction that its helper does, once its source has been read. */
export function helped(read: (s: InstructionContext) => V128): Description {
  return {
    group: "vector",
    describe(s) {
      if (isMmx(s)) raisePendingX87(s);
      helpWith(s, read(s));
    },
  };
}

/** An 8-bit immediate operand. */
export function immediate(s: InstructionContext, operand: number): I32 {
  return s.f.let(toI32(s.get(operand)));
}
