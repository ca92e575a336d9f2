import { Vector, raise } from "../execute/guest-fault.ts";
import type { Helpers } from "../execute/helper.ts";
import type { MicroOp } from "../execute/micro-op.ts";
import { writeRegister } from "../execute/operands.ts";
import { Register, Segment, SegmentField } from "../state/layout.ts";
import { HelperStatus } from "../state/status.ts";
import type { Core } from "../core.ts";
import {
  Attribute,
  checkCodeType,
  isLongActive,
  isReal,
  loadCode,
  loadSegment,
  markAccessed,
  readDescriptor,
  selectorOf,
  setRealSegment,
  setSegment,
} from "./descriptors.ts";
import type { Descriptor } from "./descriptors.ts";
import { innerStackSegment } from "./exceptions.ts";
import {
  checkReturnAddress,
  enterOuterLevel,
  returnCode,
  returnStack,
} from "./interrupt-return.ts";
import { StackCursor, innerStack, innerStack64, withPrivilege } from "./stack.ts";
import { enterTask } from "./task-instructions.ts";

interface FarPointer {
  readonly selector: number;
  readonly offset: bigint;
}

/** The far pointer of an instruction: immediate, or in memory with the offset first. */
function farPointer(cpu: Core, op: MicroOp): FarPointer {
  const size = op.operandSize;
  const mask = size === 64 ? 0xffffffffffffffffn : size === 32 ? 0xffffffffn : 0xffffn;
  if (!op.memory) return { selector: op.immediate2 & 0xffff, offset: op.immediate64 & mask };
  const bytes = (size / 8) as 2 | 4 | 8;
  const offset = cpu.linear.read(op.address, bytes);
  const selector = Number(cpu.linear.read(op.address + BigInt(bytes), 2));
  return { selector, offset };
}

function finish(cpu: Core, rip: bigint): number {
  cpu.rip = rip;
  cpu.sync();
  return HelperStatus.Jump;
}

/** Checks the code segment that a direct far transfer names: no change of privilege. */
function checkDirect(cpu: Core, code: Descriptor, offset: bigint): void {
  const error = code.selector & 0xfffc;
  const rpl = code.selector & 3;
  checkCodeType(cpu, code, Vector.GeneralProtection);
  const conforming = (code.attributes & Attribute.Direction) !== 0;
  const denied = conforming ? code.dpl > cpu.cpl : rpl > cpu.cpl || code.dpl !== cpu.cpl;
  if (denied) raise(Vector.GeneralProtection, error);
  if (!code.present) raise(Vector.SegmentNotPresent, error);
  const toLong = isLongActive(cpu) && (code.attributes & Attribute.Long) !== 0;
  checkReturnAddress(offset, toLong, code);
}

interface CallGate {
  readonly code: Descriptor;
  readonly offset: bigint;
  readonly parameters: number;
  readonly bytes: 2 | 4 | 8;
}

/** Follows a call gate (Intel SDM vol. 3, 5.8.3 and 5.8.4). */
function readCallGate(cpu: Core, gate: Descriptor): CallGate {
  const error = gate.selector & 0xfffc;
  const long = isLongActive(cpu);
  const wanted = long ? [12] : [4, 12];
  if (!wanted.includes(gate.type)) raise(Vector.GeneralProtection, error);
  if (gate.dpl < Math.max(cpu.cpl, gate.selector & 3)) raise(Vector.GeneralProtection, error);
  if (!gate.present) raise(Vector.SegmentNotPresent, error);
  const selector = Number((gate.raw >> 16n) & 0xffffn);
  let offset = (gate.raw & 0xffffn) | ((gate.raw >> 32n) & 0xffff0000n);
  if (gate.type === 4) offset &= 0xffffn;
  if (long) {
    const high = cpu.linear.read(gate.address + 8n, 8, true);
    if ((high & 0x1f0000000000n) !== 0n) raise(Vector.GeneralProtection, error);
    offset |= (high & 0xffffffffn) << 32n;
  }
  const codeError = selector & 0xfffc;
  if (codeError === 0) raise(Vector.GeneralProtection, 0);
  const code = readDescriptor(cpu, selector);
  checkCodeType(cpu, code, Vector.GeneralProtection);
  if (code.dpl > cpu.cpl) raise(Vector.GeneralProtection, codeError);
  if (long && (code.attributes & Attribute.Long) === 0) raise(Vector.GeneralProtection, codeError);
  if (!code.present) raise(Vector.SegmentNotPresent, codeError);
  const parameters = long ? 0 : Number((gate.raw >> 32n) & 31n);
  return { code, offset, parameters, bytes: long ? 8 : gate.type === 12 ? 4 : 2 };
}

function jumpFar(cpu: Core, op: MicroOp): number {
  const { selector, offset } = farPointer(cpu, op);
  if (isReal(cpu)) {
    checkRealLimit(cpu, offset);
    setRealSegment(cpu, Segment.Cs, selector);
    return finish(cpu, offset);
  }
  if ((selector & 0xfffc) === 0) raise(Vector.GeneralProtection, 0);
  const descriptor = readDescriptor(cpu, selector);
  if (!descriptor.system) {
    checkDirect(cpu, descriptor, offset);
    loadCode(cpu, descriptor, cpu.cpl);
    return finish(cpu, offset);
  }
  const switched = enterTask(cpu, op, descriptor, "jump");
  if (switched !== undefined) return switched;
  const gate = readCallGate(cpu, descriptor);
  const conforming = (gate.code.attributes & Attribute.Direction) !== 0;
  if (!conforming && gate.code.dpl !== cpu.cpl) {
    raise(Vector.GeneralProtection, gate.code.selector & 0xfffc);
  }
  loadCode(cpu, gate.code, cpu.cpl);
  return finish(cpu, gate.offset);
}

function callFar(cpu: Core, op: MicroOp): number {
  const { selector, offset } = farPointer(cpu, op);
  const bytes = (op.operandSize / 8) as 2 | 4 | 8;
  const next = cpu.nextRip(op);
  const cs = BigInt(selectorOf(cpu, Segment.Cs));
  const stack = StackCursor.current(cpu);
  const pushReturn = (width: 2 | 4 | 8): void => {
    stack.push(width, cs);
    stack.push(width, next);
  };
  if (isReal(cpu)) {
    checkRealLimit(cpu, offset);
    pushReturn(bytes);
    stack.commit();
    setRealSegment(cpu, Segment.Cs, selector);
    return finish(cpu, offset);
  }
  if ((selector & 0xfffc) === 0) raise(Vector.GeneralProtection, 0);
  const descriptor = readDescriptor(cpu, selector);
  if (!descriptor.system) {
    checkDirect(cpu, descriptor, offset);
    pushReturn(bytes);
    loadCode(cpu, descriptor, cpu.cpl);
    stack.commit();
    return finish(cpu, offset);
  }
  const switched = enterTask(cpu, op, descriptor, "call");
  if (switched !== undefined) return switched;
  const gate = readCallGate(cpu, descriptor);
  const conforming = (gate.code.attributes & Attribute.Direction) !== 0;
  if (conforming || gate.code.dpl === cpu.cpl) {
    pushReturn(gate.bytes);
    loadCode(cpu, gate.code, cpu.cpl);
    stack.commit();
    return finish(cpu, gate.offset);
  }
  return callInner(cpu, gate, stack, next);
}

/** A call gate to a more privileged level: another stack, with the parameters copied. */
function callInner(cpu: Core, gate: CallGate, outer: StackCursor, next: bigint): number {
  const level = gate.code.dpl;
  const { bytes } = gate;
  const cs = BigInt(selectorOf(cpu, Segment.Cs));
  const ss = BigInt(selectorOf(cpu, Segment.Ss));
  const rsp = cpu.registers[Register.Rsp] as bigint;
  if (bytes === 8) {
    const { linear } = cpu;
    const wasLong = linear.long;
    linear.long = true;
    const stack = new StackCursor(cpu, innerStack64(cpu, level), undefined);
    try {
      withPrivilege(cpu, level, () => {
        for (const value of [ss, rsp, cs, next]) stack.push(8, value);
      });
    } finally {
      linear.long = wasLong;
    }
    loadCode(cpu, gate.code, level);
    setSegment(cpu, Segment.Ss, level, 0n, 0, level << 5);
    cpu.registers[Register.Rsp] = stack.pointer;
    return finish(cpu, gate.offset);
  }
  const { pointer, selector } = innerStack(cpu, level);
  const segment = innerStackSegment(cpu, selector, level);
  const parameters: bigint[] = [];
  for (let i = gate.parameters - 1; i >= 0; i--) parameters.push(outer.peek(bytes, i * bytes));
  const stack = new StackCursor(cpu, pointer, segment, selector & 0xfffc);
  withPrivilege(cpu, level, () => {
    for (const value of [ss, rsp, ...parameters, cs, next]) stack.push(bytes, value);
  });
  loadCode(cpu, gate.code, level);
  setSegment(cpu, Segment.Ss, selector, segment.base, segment.limit, markAccessed(cpu, segment));
  cpu.registers[Register.Rsp] = 0n;
  stack.commit();
  return finish(cpu, gate.offset);
}

function returnFar(cpu: Core, op: MicroOp): number {
  const bytes = (op.operandSize / 8) as 2 | 4 | 8;
  const release = op.entry.operands.length > 0 ? op.immediate & 0xffff : 0;
  const stack = StackCursor.current(cpu);
  const ip = stack.pop(bytes);
  const cs = Number(stack.pop(bytes) & 0xffffn);
  if (isReal(cpu)) {
    checkRealLimit(cpu, ip);
    stack.skip(release);
    stack.commit();
    setRealSegment(cpu, Segment.Cs, cs);
    return finish(cpu, ip);
  }
  const code = returnCode(cpu, cs);
  const level = cs & 3;
  const toLong = isLongActive(cpu) && (code.attributes & Attribute.Long) !== 0;
  stack.skip(release);
  if (level === cpu.cpl) {
    checkReturnAddress(ip, toLong, code);
    loadCode(cpu, code, level);
    stack.commit();
    return finish(cpu, ip);
  }
  const pointer = stack.pop(bytes);
  const selector = Number(stack.pop(bytes) & 0xffffn);
  const ss = returnStack(cpu, selector, level, toLong);
  checkReturnAddress(ip, toLong, code);
  loadCode(cpu, code, level);
  enterOuterLevel(cpu, ss, selector, pointer + BigInt(release));
  return finish(cpu, ip);
}

function checkRealLimit(cpu: Core, ip: bigint): void {
  const limit = cpu.u32(cpu.segmentAt(Segment.Cs, SegmentField.Limit));
  if (ip > BigInt(limit)) raise(Vector.GeneralProtection, 0);
}

/** LDS, LES, LFS, LGS, LSS: a segment register and a general one from a far pointer in memory. */
const loadFarPointer =
  (segment: number) =>
  (cpu: Core, op: MicroOp): void => {
    const { selector, offset } = farPointer(cpu, op);
    loadSegment(cpu, segment, selector);
    writeRegister(cpu, op.field(0), op.operandSize, offset);
    if (segment === Segment.Ss) cpu.shadowInterrupts();
  };

/** Far transfers and far pointers (Intel SDM vol. 3, 5.8). */
export const farControlHelpers: Helpers = {
  "jmp-far": jumpFar,
  "call-far": callFar,
  retf: returnFar,
  les: loadFarPointer(Segment.Es),
  lds: loadFarPointer(Segment.Ds),
  lfs: loadFarPointer(Segment.Fs),
  lgs: loadFarPointer(Segment.Gs),
  lss: loadFarPointer(Segment.Ss),
};
