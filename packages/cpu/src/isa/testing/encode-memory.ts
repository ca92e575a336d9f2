import { BASE_RIP } from "../../decode/instruction.ts";
import type { Mode } from "../operand-size.ts";

/** A memory operand as ModRM and SIB express it. */
export interface MemoryOperand {
  /** Base register 0–15, BASE_RIP, or -1. */
  readonly base: number;
  /** Index register (never 4), or -1. */
  readonly index: number;
  /** The index is shifted left by this: 0–3. */
  readonly scale: number;
  /** Signed, 32 bits (16 with 16-bit addresses). */
  readonly disp: number;
}

/** ModRM.mod and rm, SIB and displacement, with the REX bits they need. */
export interface EncodedMemory {
  /** mod and rm; ModRM.reg is zero. */
  readonly modrm: number;
  /** SIB and displacement. */
  readonly tail: readonly number[];
  readonly rexX: boolean;
  readonly rexB: boolean;
}

/** The base and index pairs of 16-bit addressing, by ModRM.rm; 6 with mod 0 is a bare displacement. */
const PAIRS_16: readonly (readonly [number, number])[] = [
  [3, 6],
  [3, 7],
  [5, 6],
  [5, 7],
  [6, -1],
  [7, -1],
  [5, -1],
  [3, -1],
];

function little(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, i) => (value >> (8 * i)) & 0xff);
}

const isByte = (disp: number): boolean => disp >= -128 && disp <= 127;

/**
 * Encodes a memory operand with the shortest displacement.
 *
 * @throws RangeError where the mode has no such addressing form
 */
export function encodeMemory(memory: MemoryOperand, addressSize: Mode, mode: Mode): EncodedMemory {
  const { base, index, scale, disp } = memory;
  if (addressSize === 16) {
    if (base < 0 && index < 0) return { modrm: 6, tail: little(disp, 2), rexX: false, rexB: false };
    const rm = PAIRS_16.findIndex(([b, i]) => b === base && i === index);
    if (rm < 0 || scale !== 0)
      throw new RangeError(`no 16-bit addressing form with base ${base}, index ${index}`);
    if (disp === 0 && rm !== 6) return { modrm: rm, tail: [], rexX: false, rexB: false };
    return isByte(disp)
      ? { modrm: 0x40 | rm, tail: little(disp, 1), rexX: false, rexB: false }
      : { modrm: 0x80 | rm, tail: little(disp, 2), rexX: false, rexB: false };
  }
  const highest = mode === 64 ? 15 : 7;
  const rip = base === BASE_RIP;
  if (index === 4 || index > highest || (!rip && base > highest) || (rip && mode !== 64))
    throw new RangeError(
      `no addressing form with base ${base}, index ${index} in ${mode}-bit code`,
    );
  const rexX = index >= 8;
  const rexB = !rip && base >= 8;
  if (rip) {
    if (index >= 0) throw new RangeError("a RIP-relative address has no index");
    return { modrm: 5, tail: little(disp, 4), rexX, rexB };
  }
  const sibIndex = (index < 0 ? 4 : index & 7) << 3;
  if (base < 0) {
    // In 64-bit mode mod 0 with rm 5 is RIP-relative: a bare displacement needs a SIB byte.
    if (index < 0 && mode !== 64) return { modrm: 5, tail: little(disp, 4), rexX, rexB };
    return { modrm: 4, tail: [(scale << 6) | sibIndex | 5, ...little(disp, 4)], rexX, rexB };
  }
  const sib = index >= 0 || (base & 7) === 4 ? [(scale << 6) | sibIndex | (base & 7)] : [];
  const rm = sib.length > 0 ? 4 : base & 7;
  if (disp === 0 && (base & 7) !== 5) return { modrm: rm, tail: sib, rexX, rexB };
  return isByte(disp)
    ? { modrm: 0x40 | rm, tail: [...sib, ...little(disp, 1)], rexX, rexB }
    : { modrm: 0x80 | rm, tail: [...sib, ...little(disp, 4)], rexX, rexB };
}

/** A random memory operand of an address size. */
export function randomMemory(random: () => number, addressSize: Mode, mode: Mode): MemoryOperand {
  const shape = random() % 8;
  const small = (random() << 24) >> 24;
  if (addressSize === 16) {
    const disp = shape < 2 ? 0 : shape < 5 ? small : (random() << 16) >> 16;
    if (shape === 7) return { base: -1, index: -1, scale: 0, disp };
    const [base, index] = PAIRS_16[random() % 8] ?? [3, -1];
    return { base, index, scale: 0, disp };
  }
  const registers = mode === 64 ? 16 : 8;
  const disp = shape < 2 ? 0 : shape < 5 ? small : random() | 0;
  if (shape === 7 && mode === 64 && random() % 2 === 0)
    return { base: BASE_RIP, index: -1, scale: 0, disp };
  const base = shape === 7 ? -1 : random() % registers;
  const candidate = random() % registers;
  const index = random() % 2 === 0 || candidate === 4 ? -1 : candidate;
  return { base, index, scale: index < 0 ? 0 : random() % 4, disp };
}
