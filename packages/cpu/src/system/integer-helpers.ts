import type { Core } from "../core.ts";
import { Vector, raise } from "../execute/guest-fault.ts";
import type { Helpers } from "../execute/helper.ts";
import type { MicroOp } from "../execute/micro-op.ts";
import { readModrm, readRegister } from "../execute/operands.ts";
import { Flag, Register, Segment, SegmentField, State, STATUS_FLAGS } from "../state/layout.ts";
import { StackCursor } from "./stack.ts";

const low = (cpu: Core, register: number, mask: bigint): bigint =>
  (cpu.registers[register] as bigint) & mask;

/** 64-bit DIV and IDIV whose dividend needs 128 bits. */
function divideWide(signed: boolean) {
  return (cpu: Core, op: MicroOp): void => {
    const { registers } = cpu;
    const wide = ((registers[Register.Rdx] as bigint) << 64n) | (registers[Register.Rax] as bigint);
    const raw = readModrm(cpu, op, 0, 64);
    const dividend = signed ? BigInt.asIntN(128, wide) : wide;
    const divisor = signed ? BigInt.asIntN(64, raw) : raw;
    if (divisor === 0n) raise(Vector.DivideError);
    const quotient = dividend / divisor;
    const fits = signed ? BigInt.asIntN(64, quotient) : BigInt.asUintN(64, quotient);
    if (fits !== quotient) raise(Vector.DivideError);
    registers[Register.Rax] = BigInt.asUintN(64, quotient);
    registers[Register.Rdx] = BigInt.asUintN(64, dividend % divisor);
  };
}

/** CMPXCHG8B and CMPXCHG16B. Memory is written even when it does not match. */
function compareExchangeWide(cpu: Core, op: MicroOp): void {
  const { registers, linear } = cpu;
  const wide = op.operandSize === 64;
  const bytes = wide ? 8 : 4;
  const { address } = op;
  if (wide && (address & 15n) !== 0n) raise(Vector.GeneralProtection, 0);
  const place = wide ? linear.writableAt(address, 16) : -1;
  if (place >= 0) {
    compareExchangeAt(cpu, place);
    return;
  }
  linear.checkOperand(address, bytes * 2, bytes * 2);
  linear.checkWritable(address, bytes * 2);
  const bits = bytes * 8;
  const mask = (1n << BigInt(bits)) - 1n;
  const oldLow = linear.read(address, bytes);
  const oldHigh = linear.read(address + BigInt(bytes), bytes);
  const equal = oldLow === low(cpu, Register.Rax, mask) && oldHigh === low(cpu, Register.Rdx, mask);
  linear.write(address, bytes, equal ? low(cpu, Register.Rbx, mask) : oldLow);
  linear.write(address + BigInt(bytes), bytes, equal ? low(cpu, Register.Rcx, mask) : oldHigh);
  if (!equal) {
    registers[Register.Rax] = oldLow;
    registers[Register.Rdx] = oldHigh;
  }
  cpu.flags = equal ? cpu.flags | Flag.Zf : cpu.flags & ~Flag.Zf;
}

/** CMPXCHG16B where the TLB has the page; in halves of words, as numbers. Linux allocates memory with it. */
function compareExchangeAt(cpu: Core, place: number): void {
  const { view, state } = cpu;
  const ram = cpu.board.memory.view;
  const register = (number: number): number => state + State.Registers + 8 * number;
  const expected = [register(Register.Rax), register(Register.Rdx)] as const;
  const desired = [register(Register.Rbx), register(Register.Rcx)] as const;
  let equal = true;
  for (let at = 0; at < 16; at += 4) {
    const there = ram.getInt32(place + at, true);
    if (there !== view.getInt32(expected[at < 8 ? 0 : 1] + (at & 4), true)) equal = false;
  }
  for (let at = 0; at < 16; at += 4) {
    const here = (equal ? desired : expected)[at < 8 ? 0 : 1] + (at & 4);
    if (equal) ram.setInt32(place + at, view.getInt32(here, true), true);
    else view.setInt32(here, ram.getInt32(place + at, true), true);
  }
  cpu.flags = equal ? cpu.flags | Flag.Zf : cpu.flags & ~Flag.Zf;
}

function enter(cpu: Core, op: MicroOp): void {
  const bytes = (op.operandSize / 8) as 2 | 4 | 8;
  const size = op.immediate & 0xffff;
  const level = op.immediate2 & 31;
  const stack = StackCursor.current(cpu);
  const { registers } = cpu;
  const rbp = registers[Register.Rbp] as bigint;
  stack.push(bytes, rbp);
  const frame = stack.pointer;
  const stackMask = cpu.linear.long ? 0xffffffffffffffffn : cpu.u64(State.StackMask);
  for (let i = 1; i < level; i++) {
    const at = (rbp - BigInt(i * bytes)) & stackMask;
    const base = cpu.linear.long ? 0n : cpu.u64(cpu.segmentAt(Segment.Ss, SegmentField.Base));
    if (!cpu.linear.long) cpu.checkSegment(Segment.Ss, Number(at), bytes);
    stack.push(bytes, cpu.linear.read(base + at, bytes));
  }
  if (level > 0) stack.push(bytes, frame);
  stack.skip(-size);
  // The new top of the stack must be writable, although nothing is written there.
  const probe = stack.pointer & stackMask;
  const base = cpu.linear.long ? 0n : cpu.u64(cpu.segmentAt(Segment.Ss, SegmentField.Base));
  cpu.linear.checkOperand(base + probe, bytes, bytes);
  cpu.linear.checkWritable(base + probe, bytes);
  stack.commit();
  const kept = op.operandSize === 16 ? rbp & ~0xffffn : 0n;
  registers[Register.Rbp] = kept | BigInt.asUintN(op.operandSize, frame);
}

const ALL = [
  Register.Rax,
  Register.Rcx,
  Register.Rdx,
  Register.Rbx,
  Register.Rsp,
  Register.Rbp,
  Register.Rsi,
  Register.Rdi,
];

function pushAll(cpu: Core, op: MicroOp): void {
  const bytes = (op.operandSize / 8) as 2 | 4;
  const stack = StackCursor.current(cpu);
  const values = ALL.map((register) => cpu.registers[register] as bigint);
  for (const value of values) stack.push(bytes, value);
  stack.commit();
}

function popAll(cpu: Core, op: MicroOp): void {
  const bytes = (op.operandSize / 8) as 2 | 4;
  const stack = StackCursor.current(cpu);
  const values = ALL.toReversed().map((register) => ({ register, value: stack.pop(bytes) }));
  stack.commit();
  for (const { register, value } of values) {
    if (register === Register.Rsp) continue;
    const old = cpu.registers[register] as bigint;
    cpu.registers[register] = bytes === 2 ? (old & ~0xffffn) | value : value;
  }
}

function bound(cpu: Core, op: MicroOp): void {
  const bits = op.operandSize as 16 | 32;
  const bytes = (bits / 8) as 2 | 4;
  const index = BigInt.asIntN(bits, readRegister(cpu, op.field(0), bits));
  const lower = BigInt.asIntN(bits, cpu.linear.read(op.address, bytes));
  const upper = BigInt.asIntN(bits, cpu.linear.read(op.address + BigInt(bytes), bytes));
  if (index < lower || index > upper) raise(Vector.BoundRange);
}

function setAx(cpu: Core, value: number): void {
  const old = cpu.registers[Register.Rax] as bigint;
  cpu.registers[Register.Rax] = (old & ~0xffffn) | BigInt(value & 0xffff);
}

const parity = (byte: number): number => {
  let bits = byte ^ (byte >> 4);
  bits ^= bits >> 2;
  return ((bits ^ (bits >> 1)) & 1) === 0 ? Flag.Pf : 0;
};

/** SF, ZF and PF of a byte, with the other flags given. */
function setByteFlags(cpu: Core, byte: number, others: number): void {
  const zero = byte === 0 ? Flag.Zf : 0;
  cpu.flags = (cpu.flags & ~STATUS_FLAGS) | (byte & Flag.Sf) | zero | parity(byte) | others;
}

/** DAA and DAS. */
function decimalAdjust(direction: 1 | -1) {
  return (cpu: Core): void => {
    const ax = Number((cpu.registers[Register.Rax] as bigint) & 0xffffn);
    const old = ax & 0xff;
    const { flags } = cpu;
    let al = old;
    let others = 0;
    if ((old & 15) > 9 || (flags & Flag.Af) !== 0) {
      const moved = al + direction * 6;
      if ((flags & Flag.Cf) !== 0 || moved > 0xff || moved < 0) others |= Flag.Cf;
      al = moved & 0xff;
      others |= Flag.Af;
    }
    if (old > 0x99 || (flags & Flag.Cf) !== 0) {
      al = (al + direction * 0x60) & 0xff;
      others |= Flag.Cf;
    } else if (direction === 1) others &= ~Flag.Cf;
    setAx(cpu, (ax & 0xff00) | al);
    setByteFlags(cpu, al, others);
  };
}

/** AAA and AAS. */
function asciiAdjust(direction: 1 | -1) {
  return (cpu: Core): void => {
    const ax = Number((cpu.registers[Register.Rax] as bigint) & 0xffffn);
    const adjust = (ax & 15) > 9 || (cpu.flags & Flag.Af) !== 0;
    const moved = adjust ? ax + direction * 0x106 : ax;
    setAx(cpu, moved & 0xff0f);
    const carry = adjust ? Flag.Af | Flag.Cf : 0;
    setByteFlags(cpu, moved & 0x0f, carry);
  };
}

/** Integer instructions that are rare or need more than 64 bits (Intel SDM vol. 2). */
export const integerHelpers: Helpers = {
  div: divideWide(false),
  idiv: divideWide(true),
  cmpxchg8b: compareExchangeWide,
  enter,
  pusha: pushAll,
  popa: popAll,
  bound,
  daa: decimalAdjust(1),
  das: decimalAdjust(-1),
  aaa: asciiAdjust(1),
  aas: asciiAdjust(-1),
  aam(cpu, op) {
    const base = op.immediate & 0xff;
    if (base === 0) raise(Vector.DivideError);
    const al = Number((cpu.registers[Register.Rax] as bigint) & 0xffn);
    const remainder = al % base;
    setAx(cpu, (Math.floor(al / base) << 8) | remainder);
    setByteFlags(cpu, remainder, 0);
  },
  aad(cpu, op) {
    const ax = Number((cpu.registers[Register.Rax] as bigint) & 0xffffn);
    const al = ((ax & 0xff) + (ax >> 8) * (op.immediate & 0xff)) & 0xff;
    setAx(cpu, al);
    setByteFlags(cpu, al, 0);
  },
};
