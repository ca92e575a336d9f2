import { Vector, raise } from "../execute/guest-fault.ts";
import type { Helpers } from "../execute/helper.ts";
import type { MicroOp } from "../execute/micro-op.ts";
import { Flag, Register, Segment, SegmentField, State } from "../state/layout.ts";
import { HelperStatus } from "../state/status.ts";
import type { Core } from "../core.ts";
import {
  Attribute,
  checkCodeType,
  isLongActive,
  isVirtual8086,
  loadCode,
  markAccessed,
  readDescriptor,
  setRealSegment,
  setSegment,
} from "./descriptors.ts";
import type { Descriptor } from "./descriptors.ts";
import { StackCursor } from "./stack.ts";
import { returnToTask } from "./task-instructions.ts";

/** The flags that IRET and POPF may change at a privilege level. */
export function changeableFlags(cpu: Core, cpl: number, bits: 16 | 32 | 64): number {
  const iopl = (cpu.u32(State.SystemFlags) >> 12) & 3;
  let mask = 0xcd5 | Flag.Tf | Flag.Nt;
  if (bits !== 16) mask |= Flag.Rf | Flag.Ac | Flag.Id;
  if (cpl <= iopl) mask |= Flag.If;
  if (cpl === 0) mask |= Flag.Iopl | (bits === 16 ? 0 : Flag.Vif | Flag.Vip);
  return mask;
}

/** Replaces the flags of `mask` by those of `value`. */
export function replaceFlags(cpu: Core, value: number, mask: number): void {
  cpu.flags = (cpu.flags & ~mask) | (value & mask);
}

/** The code descriptor that IRET or RETF returns to. */
export function returnCode(cpu: Core, selector: number): Descriptor {
  const error = selector & 0xfffc;
  if (error === 0) raise(Vector.GeneralProtection, 0);
  const rpl = selector & 3;
  if (rpl < cpu.cpl) raise(Vector.GeneralProtection, error);
  const code = readDescriptor(cpu, selector);
  checkCodeType(cpu, code, Vector.GeneralProtection);
  const conforming = (code.attributes & Attribute.Direction) !== 0;
  if (conforming ? code.dpl > rpl : code.dpl !== rpl) raise(Vector.GeneralProtection, error);
  if (!code.present) raise(Vector.SegmentNotPresent, error);
  return code;
}

/** The stack segment that a return to an outer level names; undefined for a null one that 64-bit code may have. */
export function returnStack(
  cpu: Core,
  selector: number,
  level: number,
  toLong: boolean,
): Descriptor | undefined {
  const error = selector & 0xfffc;
  if (error === 0) {
    if (toLong && level !== 3 && (selector & 3) === level) return undefined;
    raise(Vector.GeneralProtection, 0);
  }
  const descriptor = readDescriptor(cpu, selector);
  const { attributes, dpl, system } = descriptor;
  const writableData =
    (attributes & (Attribute.Code | Attribute.ReadWrite)) === Attribute.ReadWrite;
  if (system || !writableData || dpl !== level || (selector & 3) !== level) {
    raise(Vector.GeneralProtection, error);
  }
  if (!descriptor.present) raise(Vector.StackFault, error);
  return descriptor;
}

/** Applies a stack segment and pointer after a return to an outer level, and drops data segments it may not use. */
export function enterOuterLevel(
  cpu: Core,
  ss: Descriptor | undefined,
  selector: number,
  pointer: bigint,
): void {
  if (ss === undefined) setSegment(cpu, Segment.Ss, selector, 0n, 0, (selector & 3) << 5);
  else setSegment(cpu, Segment.Ss, selector, ss.base, ss.limit, markAccessed(cpu, ss));
  const big = ss !== undefined && (ss.attributes & Attribute.Big) !== 0;
  cpu.sync();
  const old = cpu.registers[Register.Rsp] as bigint;
  cpu.registers[Register.Rsp] = cpu.linear.long
    ? pointer
    : big
      ? pointer & 0xffffffffn
      : (old & ~0xffffn) | (pointer & 0xffffn);
  const { cpl } = cpu;
  for (const segment of [Segment.Es, Segment.Ds, Segment.Fs, Segment.Gs]) {
    const attributes = cpu.u32(cpu.segmentAt(segment, SegmentField.Attributes));
    const conforming =
      (attributes & (Attribute.Code | Attribute.Direction)) ===
      (Attribute.Code | Attribute.Direction);
    const dpl = (attributes >> 5) & 3;
    if ((attributes & Attribute.Present) !== 0 && !conforming && dpl < cpl) {
      setSegment(cpu, segment, 0, 0n, 0, 0);
    }
  }
  cpu.dataSegmentChanged();
}

function returnReal(cpu: Core, bytes: 2 | 4): number {
  const stack = StackCursor.current(cpu);
  const ip = stack.pop(bytes);
  const cs = Number(stack.pop(bytes) & 0xffffn);
  const flags = Number(stack.pop(bytes));
  if (ip > BigInt(cpu.u32(cpu.segmentAt(Segment.Cs, SegmentField.Limit)))) {
    raise(Vector.GeneralProtection, 0);
  }
  stack.commit();
  const virtual = isVirtual8086(cpu);
  setRealSegment(cpu, Segment.Cs, cs);
  cpu.rip = ip;
  // In virtual-8086 mode IOPL stays; in real mode everything but VM, VIF and VIP changes.
  const all = bytes === 2 ? 0x7fd5 : 0x257fd5;
  replaceFlags(cpu, flags, virtual ? all & ~Flag.Iopl : all);
  cpu.sync();
  return HelperStatus.Exit;
}

/** IRET to virtual-8086 mode: the frame holds the data segments as well. */
function returnToVirtual(
  cpu: Core,
  stack: StackCursor,
  ip: bigint,
  cs: number,
  flags: number,
): number {
  const pointer = stack.pop(4);
  const [ss, es, ds, fs, gs] = [0, 0, 0, 0, 0].map(() => Number(stack.pop(4) & 0xffffn));
  cpu.flags = flags;
  cpu.setU32(State.Cpl, 3);
  const selectors = [es, cs, ss, ds, fs, gs] as number[];
  selectors.forEach((selector, segment) => setRealSegment(cpu, segment, selector));
  cpu.registers[Register.Rsp] = pointer;
  cpu.rip = ip & 0xffffn;
  cpu.sync();
  return HelperStatus.Exit;
}

function interruptReturn(cpu: Core, op: MicroOp): number {
  cpu.endNmi();
  const size = op.operandSize;
  const bytes = (size / 8) as 2 | 4 | 8;
  if ((cpu.u32(State.Cr0) & 1) === 0) return returnReal(cpu, bytes as 2 | 4);
  if (isVirtual8086(cpu)) {
    if ((cpu.u32(State.SystemFlags) & Flag.Iopl) !== Flag.Iopl) raise(Vector.GeneralProtection, 0);
    return returnReal(cpu, bytes as 2 | 4);
  }
  const long = isLongActive(cpu);
  const nested = (cpu.u32(State.SystemFlags) & Flag.Nt) !== 0;
  // In IA-32e mode a nested task is an error; elsewhere IRET goes back to the task before.
  if (nested && long) raise(Vector.GeneralProtection, 0);
  if (nested) return returnToTask(cpu, op);
  const stack = StackCursor.current(cpu);
  const ip = stack.pop(bytes);
  const cs = Number(stack.pop(bytes) & 0xffffn);
  const flags = Number(stack.pop(bytes) & 0xffffffffn);
  if ((flags & Flag.Vm) !== 0 && !long && size === 32 && cpu.cpl === 0) {
    return returnToVirtual(cpu, stack, ip, cs, flags);
  }
  const { cpl } = cpu;
  const level = cs & 3;
  const code = returnCode(cpu, cs);
  const toLong = long && (code.attributes & Attribute.Long) !== 0;
  const outer = level > cpl;
  // 64-bit mode always pops SS:RSP.
  const pops = outer || cpu.linear.long;
  const pointer = pops ? stack.pop(bytes) : 0n;
  const selector = pops ? Number(stack.pop(bytes) & 0xffffn) : 0;
  const ss = pops ? returnStack(cpu, selector, level, toLong) : undefined;
  checkReturnAddress(ip, toLong, code);
  const mask = changeableFlags(cpu, cpl, size);
  loadCode(cpu, code, level);
  if (pops) enterOuterLevel(cpu, ss, selector, pointer);
  else stack.commit();
  cpu.rip = toLong ? ip : ip & 0xffffffffn;
  // RF lasts for one instruction and does nothing but hold back its breakpoint: without any it need not be there.
  replaceFlags(cpu, cpu.breakpointsEnabled ? flags : flags & ~Flag.Rf, mask);
  cpu.sync();
  return cpu.changedInterruptFlag();
}

/** A return address must be canonical, or inside the segment's limit. */
export function checkReturnAddress(ip: bigint, toLong: boolean, code: Descriptor): void {
  const good = toLong ? BigInt.asUintN(64, BigInt.asIntN(48, ip)) === ip : ip <= BigInt(code.limit);
  if (!good) raise(Vector.GeneralProtection, 0);
}

/** IRET in all its forms (Intel SDM vol. 2, IRET). */
export const interruptReturnHelpers: Helpers = { iret: interruptReturn };
