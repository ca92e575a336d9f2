import type { Core } from "../core.ts";
import type { Helper, Helpers } from "../execute/helper.ts";
import type { MicroOp } from "../execute/micro-op.ts";
import { Flag, Register, STATUS_FLAGS, State } from "../state/layout.ts";

/** PCMPESTRI, PCMPESTRM, PCMPISTRI and PCMPISTRM (Intel SDM vol. 1, 12.11; vol. 2, 4.1). */

/** Fields of the immediate. */
const WORDS = 1;
const SIGNED = 2;
const NEGATED = 0x10;
const MASKED = 0x20;
const MOST_SIGNIFICANT = 0x40;
const EXPANDED = 0x40;

const first = new Int32Array(16);
const second = new Int32Array(16);

/** Reads the elements of one operand. */
function load(cpu: Core, at: number, immediate: number, into: Int32Array): void {
  const { view } = cpu;
  if ((immediate & WORDS) !== 0) {
    for (let i = 0; i < 8; i++) {
      const place = at + 2 * i;
      into[i] =
        (immediate & SIGNED) === 0 ? view.getUint16(place, true) : view.getInt16(place, true);
    }
    return;
  }
  for (let i = 0; i < 16; i++) {
    into[i] = (immediate & SIGNED) === 0 ? view.getUint8(at + i) : view.getInt8(at + i);
  }
}

function implicitLength(elements: Int32Array, count: number): number {
  for (let i = 0; i < count; i++) if (elements[i] === 0) return i;
  return count;
}

/** A length in a register: its magnitude, at most `count`. */
function explicitLength(cpu: Core, op: MicroOp, register: number, count: number): number {
  const bits = op.operandSize === 64 ? 64 : 32;
  const value = BigInt.asIntN(bits, cpu.registers[register] as bigint);
  const magnitude = value < 0n ? -value : value;
  return magnitude > BigInt(count) ? count : Number(magnitude);
}

/** Whether element `j` of the second operand matches; lengths are of the first and second operand. */
type Match = (j: number, count: number, firstLength: number, secondLength: number) => boolean;

/** By bits 2 and 3 of the immediate. Elements behind the end match nothing, unless both are. */
const MATCHES: readonly Match[] = [
  // Equal any: it is one of the first operand's.
  (j, _count, firstLength, secondLength) => {
    if (j >= secondLength) return false;
    const element = second[j];
    for (let i = 0; i < firstLength; i++) if (first[i] === element) return true;
    return false;
  },
  // Ranges: it lies between two neighbours of the first operand.
  (j, _count, firstLength, secondLength) => {
    if (j >= secondLength) return false;
    const element = second[j] as number;
    for (let i = 0; i + 1 < firstLength; i += 2) {
      if ((first[i] as number) <= element && element <= (first[i + 1] as number)) return true;
    }
    return false;
  },
  // Equal each.
  (j, _count, firstLength, secondLength) => {
    if (j >= firstLength || j >= secondLength) return j >= firstLength && j >= secondLength;
    return first[j] === second[j];
  },
  // Equal ordered: the first operand, as far as it fits, starts here.
  (j, count, firstLength, secondLength) => {
    for (let i = 0; i < firstLength && i + j < count; i++) {
      if (i + j >= secondLength || first[i] !== second[i + j]) return false;
    }
    return true;
  },
];

function compareStrings(
  explicit: boolean,
  write: (cpu: Core, count: number, bits: number, immediate: number) => void,
): Helper {
  return (cpu, op) => {
    const { immediate } = op;
    const count = (immediate & WORDS) !== 0 ? 8 : 16;
    load(cpu, cpu.state + State.Xmm + op.field(0), immediate, first);
    load(cpu, cpu.state + State.VectorSource, immediate, second);
    const length = (elements: Int32Array, register: number): number =>
      explicit ? explicitLength(cpu, op, register, count) : implicitLength(elements, count);
    const firstLength = length(first, Register.Rax);
    const secondLength = length(second, Register.Rdx);
    const match = MATCHES[(immediate >> 2) & 3] as Match;
    let bits = 0;
    for (let j = 0; j < count; j++) {
      if (match(j, count, firstLength, secondLength)) bits |= 1 << j;
    }
    if ((immediate & NEGATED) !== 0) {
      const inverted = (immediate & MASKED) !== 0 ? secondLength : count;
      bits ^= (1 << inverted) - 1;
    }
    let flags = bits === 0 ? 0 : Flag.Cf;
    if (secondLength < count) flags |= Flag.Zf;
    if (firstLength < count) flags |= Flag.Sf;
    if ((bits & 1) !== 0) flags |= Flag.Of;
    cpu.flags = (cpu.flags & ~STATUS_FLAGS) | flags;
    write(cpu, count, bits, immediate);
  };
}

/** The lowest or highest set bit's number to ECX; the element count if there is none. */
function writeIndex(cpu: Core, count: number, bits: number, immediate: number): void {
  const highest = 31 - Math.clz32(bits);
  const lowest = 31 - Math.clz32(bits & -bits);
  const index = bits === 0 ? count : (immediate & MOST_SIGNIFICANT) !== 0 ? highest : lowest;
  cpu.registers[Register.Rcx] = BigInt(index);
}

/** The bits, or a mask of whole elements, to XMM0. */
function writeMask(cpu: Core, count: number, bits: number, immediate: number): void {
  const { view } = cpu;
  const at = cpu.state + State.Xmm;
  const size = 16 / count;
  const expanded = (immediate & EXPANDED) !== 0;
  for (let i = 0; i < 16; i++) {
    const bit = (bits >> Math.floor(i / size)) & 1;
    view.setUint8(at + i, expanded ? -bit & 0xff : i < 2 ? (bits >> (8 * i)) & 0xff : 0);
  }
}

export const simdStringHelpers: Helpers = {
  pcmpestri: compareStrings(true, writeIndex),
  pcmpestrm: compareStrings(true, writeMask),
  pcmpistri: compareStrings(false, writeIndex),
  pcmpistrm: compareStrings(false, writeMask),
};
