import { Vector, raise } from "../execute/guest-fault.ts";
import { Register, Segment, SegmentField } from "../state/layout.ts";
import type { Core } from "../core.ts";
import { Attribute } from "./descriptors.ts";

/** A stack that values are pushed on, or popped from, before any of it becomes visible. */
export class StackCursor {
  readonly #cpu: Core;
  readonly #base: bigint;
  readonly #mask: bigint;
  readonly #limit: number;
  readonly #flat: boolean;
  readonly #error: number;
  readonly #expandDown: boolean;
  pointer: bigint;

  /**
   * @param segment base, limit and attributes of the stack segment; none in 64-bit mode.
   * @param error error code of the #SS that leaving the segment raises.
   */
  constructor(
    cpu: Core,
    pointer: bigint,
    segment: { base: bigint; limit: number; attributes: number } | undefined,
    error = 0,
  ) {
    this.#cpu = cpu;
    this.#flat = segment === undefined;
    this.#base = segment?.base ?? 0n;
    this.#limit = segment?.limit ?? 0;
    this.#expandDown = ((segment?.attributes ?? 0) & (Attribute.Code | Attribute.Direction)) === 4;
    const big = ((segment?.attributes ?? 0) & Attribute.Big) !== 0;
    this.#mask = segment === undefined ? 0xffffffffffffffffn : big ? 0xffffffffn : 0xffffn;
    this.#error = error;
    this.pointer = pointer;
  }

  /** The stack that SS:rSP describes now. */
  static current(cpu: Core): StackCursor {
    const rsp = cpu.registers[Register.Rsp] as bigint;
    if (cpu.linear.long) return new StackCursor(cpu, rsp, undefined);
    const at = (field: number): number => cpu.segmentAt(Segment.Ss, field);
    return new StackCursor(cpu, rsp, {
      base: cpu.u64(at(SegmentField.Base)),
      limit: cpu.u32(at(SegmentField.Limit)),
      attributes: cpu.u32(at(SegmentField.Attributes)),
    });
  }

  push(bytes: 2 | 4 | 8, value: bigint): void {
    this.pointer = this.#moved(this.pointer - BigInt(bytes));
    this.#cpu.linear.write(this.#address(this.pointer, bytes), bytes, value);
  }

  pop(bytes: 2 | 4 | 8): bigint {
    const value = this.#cpu.linear.read(this.#address(this.pointer, bytes), bytes);
    this.pointer = this.#moved(this.pointer + BigInt(bytes));
    return value;
  }

  /** The value `distance` bytes above the pointer, left where it is. */
  peek(bytes: 2 | 4 | 8, distance: number): bigint {
    const at = this.#moved(this.pointer + BigInt(distance));
    return this.#cpu.linear.read(this.#address(at, bytes), bytes);
  }

  skip(bytes: number): void {
    this.pointer = this.#moved(this.pointer + BigInt(bytes));
  }

  /** Makes the moved pointer rSP: outside 64-bit mode a 16-bit stack changes SP alone. */
  commit(): void {
    const { registers } = this.#cpu;
    if (this.#mask === 0xffffn) {
      const old = registers[Register.Rsp] as bigint;
      registers[Register.Rsp] = (old & ~0xffffn) | (this.pointer & 0xffffn);
    } else {
      registers[Register.Rsp] = this.pointer & this.#mask;
    }
  }

  #moved(pointer: bigint): bigint {
    const all = BigInt.asUintN(64, pointer);
    if (this.#flat) return all;
    return this.#mask === 0xffffn ? (this.pointer & ~0xffffn) | (all & 0xffffn) : all & this.#mask;
  }

  #address(pointer: bigint, bytes: number): bigint {
    if (this.#flat) return pointer;
    const offset = Number(pointer & this.#mask);
    const last = offset + bytes - 1;
    const inside = this.#expandDown
      ? offset > this.#limit && last <= Number(this.#mask)
      : last <= this.#limit;
    if (!inside) raise(Vector.StackFault, this.#error);
    return (this.#base + BigInt(offset)) & 0xffffffffn;
  }
}

/** Reads the inner stack pointer (and, outside IA-32e mode, SS selector) for a privilege level from the TSS. */
export function innerStack(cpu: Core, level: number): { pointer: bigint; selector: number } {
  const at = (field: number): number => cpu.segmentAt(Segment.Tr, field);
  const base = cpu.u64(at(SegmentField.Base));
  const limit = cpu.u32(at(SegmentField.Limit));
  const type = cpu.u32(at(SegmentField.Attributes)) & 15;
  const error = cpu.u32(at(SegmentField.Selector)) & 0xfffc;
  if (type & 8) {
    const offset = 4 + level * 8;
    if (offset + 5 > limit) raise(Vector.InvalidTss, error);
    const pointer = cpu.linear.read(base + BigInt(offset), 4, true);
    return { pointer, selector: Number(cpu.linear.read(base + BigInt(offset + 4), 2, true)) };
  }
  const offset = 2 + level * 4;
  if (offset + 3 > limit) raise(Vector.InvalidTss, error);
  const pointer = cpu.linear.read(base + BigInt(offset), 2, true);
  return { pointer, selector: Number(cpu.linear.read(base + BigInt(offset + 2), 2, true)) };
}

/** Reads RSP0–2 (`slot` 0–2) or IST1–7 (`slot` 3 + number) from the 64-bit TSS. */
export function innerStack64(cpu: Core, slot: number): bigint {
  const at = (field: number): number => cpu.segmentAt(Segment.Tr, field);
  const offset = slot < 3 ? 4 + slot * 8 : 36 + (slot - 4) * 8;
  const limit = cpu.u32(at(SegmentField.Limit));
  if (offset + 7 > limit) raise(Vector.InvalidTss, cpu.u32(at(SegmentField.Selector)) & 0xfffc);
  return cpu.linear.read(cpu.u64(at(SegmentField.Base)) + BigInt(offset), 8, true);
}

/** The current privilege as memory accesses see it, for a while another one. */
export function withPrivilege<T>(cpu: Core, cpl: number, act: () => T): T {
  const { linear } = cpu;
  const before = linear.assumedCpl;
  linear.assumedCpl = cpl;
  try {
    return act();
  } finally {
    linear.assumedCpl = before;
  }
}
