import type { Core } from "../core.ts";
import { Vector, raise } from "../execute/guest-fault.ts";
import type { Helpers } from "../execute/helper.ts";
import type { MicroOp } from "../execute/micro-op.ts";
import { readModrm, readRegister, writeModrm, writeRegister } from "../execute/operands.ts";
import { Flag, Segment, SegmentField, State } from "../state/layout.ts";
import { HelperStatus } from "../state/status.ts";
import { Cr4 } from "./control-registers.ts";
import {
  Attribute,
  loadSegment,
  readDescriptor,
  readSystemBase,
  selectorOf,
  setSegment,
} from "./descriptors.ts";
import type { Descriptor } from "./descriptors.ts";
import { StackCursor } from "./stack.ts";

/** After a segment was loaded: SS holds interrupts back for one instruction. */
function loaded(cpu: Core, op: MicroOp, segment: number): number {
  if (segment !== Segment.Ss) return HelperStatus.Next;
  cpu.shadowInterrupts();
  cpu.rip = cpu.nextRip(op);
  return HelperStatus.Exit;
}

function moveSegment(cpu: Core, op: MicroOp): number {
  if (op.entry.operands[1]?.kind === "segment") {
    const selector = BigInt(selectorOf(cpu, op.field(1)));
    writeModrm(cpu, op, 0, op.memory ? 16 : op.operandSize, selector);
    return HelperStatus.Next;
  }
  const segment = op.field(0);
  if (segment === Segment.Cs || segment > Segment.Gs) raise(Vector.InvalidOpcode);
  loadSegment(cpu, segment, Number(readModrm(cpu, op, 1, 16)));
  return loaded(cpu, op, segment);
}

function pushSegment(cpu: Core, op: MicroOp): void {
  const stack = StackCursor.current(cpu);
  const bytes = (op.operandSize / 8) as 2 | 4 | 8;
  const selector = BigInt(selectorOf(cpu, op.field(0)));
  stack.push(bytes, selector);
  stack.commit();
}

function popSegment(cpu: Core, op: MicroOp): number {
  const stack = StackCursor.current(cpu);
  const segment = op.field(0);
  const selector = Number(stack.pop((op.operandSize / 8) as 2 | 4 | 8) & 0xffffn);
  const before = cpu.u64(State.StackMask);
  loadSegment(cpu, segment, selector);
  const after = cpu.u64(State.StackMask);
  // POP SS pops with the old stack's size.
  cpu.setU64(State.StackMask, before);
  stack.commit();
  cpu.setU64(State.StackMask, after);
  return loaded(cpu, op, segment);
}

function loadLdt(cpu: Core, op: MicroOp): void {
  const selector = Number(readModrm(cpu, op, 0, 16));
  const error = selector & 0xfffc;
  if (error === 0) {
    setSegment(cpu, Segment.Ldtr, selector, 0n, 0, 0);
    return;
  }
  if ((selector & 4) !== 0) raise(Vector.GeneralProtection, error);
  const descriptor = readDescriptor(cpu, selector);
  if (!descriptor.system || descriptor.type !== 2) raise(Vector.GeneralProtection, error);
  if (!descriptor.present) raise(Vector.SegmentNotPresent, error);
  const base = readSystemBase(cpu, descriptor);
  setSegment(cpu, Segment.Ldtr, selector, base, descriptor.limit, descriptor.attributes);
}

function loadTask(cpu: Core, op: MicroOp): void {
  const selector = Number(readModrm(cpu, op, 0, 16));
  const error = selector & 0xfffc;
  if (error === 0) raise(Vector.GeneralProtection, 0);
  if ((selector & 4) !== 0) raise(Vector.GeneralProtection, error);
  const descriptor = readDescriptor(cpu, selector);
  const available = cpu.u32(State.Efer) & 0x400 ? [9] : [1, 9];
  if (!descriptor.system || !available.includes(descriptor.type)) {
    raise(Vector.GeneralProtection, error);
  }
  if (!descriptor.present) raise(Vector.SegmentNotPresent, error);
  const base = readSystemBase(cpu, descriptor);
  const busy = descriptor.attributes | 2;
  cpu.linear.write(descriptor.address + 5n, 1, BigInt(busy & 0xff), true);
  setSegment(cpu, Segment.Tr, selector, base, descriptor.limit, busy);
}

/** A descriptor for LAR, LSL, VERR and VERW, or undefined where they clear ZF. */
function probe(cpu: Core, selector: number): Descriptor | undefined {
  if ((selector & 0xfffc) === 0) return undefined;
  const local = (selector & 4) !== 0;
  const limit = local
    ? cpu.u32(cpu.segmentAt(Segment.Ldtr, SegmentField.Limit))
    : cpu.u32(State.Gdtr + 8);
  const usable =
    !local ||
    (cpu.u32(cpu.segmentAt(Segment.Ldtr, SegmentField.Attributes)) & Attribute.Present) !== 0;
  if (!usable || (selector & 0xfff8) + 7 > limit) return undefined;
  return readDescriptor(cpu, selector);
}

/** Whether the privilege rules let a program see a segment. */
function visible(cpu: Core, descriptor: Descriptor, systemTypes: readonly number[]): boolean {
  const { attributes, dpl, system, type } = descriptor;
  if (system && !systemTypes.includes(type)) return false;
  const conforming =
    !system &&
    (attributes & (Attribute.Code | Attribute.Direction)) ===
      (Attribute.Code | Attribute.Direction);
  return conforming || dpl >= Math.max(cpu.cpl, descriptor.selector & 3);
}

function setZero(cpu: Core, zero: boolean): void {
  cpu.flags = zero ? cpu.flags | Flag.Zf : cpu.flags & ~Flag.Zf;
}

function describeSegment(systemTypes: readonly number[], value: (d: Descriptor) => bigint) {
  return (cpu: Core, op: MicroOp): void => {
    const selector = Number(readModrm(cpu, op, 1, 16));
    const descriptor = probe(cpu, selector);
    const good = descriptor !== undefined && visible(cpu, descriptor, systemTypes);
    if (good) writeRegister(cpu, op.field(0), op.operandSize, value(descriptor));
    setZero(cpu, good);
  };
}

function verify(write: boolean) {
  return (cpu: Core, op: MicroOp): void => {
    const descriptor = probe(cpu, Number(readModrm(cpu, op, 0, 16)));
    let good = descriptor !== undefined && !descriptor.system && visible(cpu, descriptor, []);
    if (descriptor !== undefined && good) {
      const code = (descriptor.attributes & Attribute.Code) !== 0;
      const readWrite = (descriptor.attributes & Attribute.ReadWrite) !== 0;
      good = write ? !code && readWrite : !code || readWrite;
    }
    setZero(cpu, good);
  };
}

const baseRegister =
  (segment: number, write: boolean) =>
  (cpu: Core, op: MicroOp): void => {
    if ((cpu.u32(State.Cr4) & Cr4.Fsgsbase) === 0) raise(Vector.InvalidOpcode);
    const at = cpu.segmentAt(segment, SegmentField.Base);
    if (!write) {
      writeRegister(cpu, op.field(0), op.operandSize, cpu.u64(at));
      return;
    }
    const base = readRegister(cpu, op.field(0), op.operandSize);
    if (BigInt.asUintN(64, BigInt.asIntN(48, base)) !== base) raise(Vector.GeneralProtection, 0);
    cpu.setU64(at, base);
  };

/** Segment registers, descriptor inspection and FS/GS bases (Intel SDM vol. 3, 5.10 and vol. 2). */
export const segmentHelpers: Helpers = {
  "mov-segment": moveSegment,
  "push-segment": pushSegment,
  "pop-segment": popSegment,
  lldt: loadLdt,
  ltr: loadTask,
  // Bits 16–19 are undefined; processors leave the limit's there.
  lar: describeSegment([1, 2, 3, 4, 5, 9, 11, 12], (d) => (d.raw >> 32n) & 0xffff00n),
  lsl: describeSegment([1, 2, 3, 9, 11], (d) => BigInt(d.limit)),
  verr: verify(false),
  verw: verify(true),
  arpl(cpu, op) {
    const destination = readModrm(cpu, op, 0, 16);
    const rpl = readRegister(cpu, op.field(1), 16) & 3n;
    const lower = (destination & 3n) < rpl;
    if (lower) writeModrm(cpu, op, 0, 16, (destination & ~3n) | rpl);
    setZero(cpu, lower);
  },
  rdfsbase: baseRegister(Segment.Fs, false),
  rdgsbase: baseRegister(Segment.Gs, false),
  wrfsbase: baseRegister(Segment.Fs, true),
  wrgsbase: baseRegister(Segment.Gs, true),
};
