import { ERROR_CODE_VECTORS, GuestFault, Vector, raise } from "../execute/guest-fault.ts";
import { Flag, Register, Segment, State } from "../state/layout.ts";
import type { Core } from "../core.ts";
import {
  Attribute,
  checkCodeType,
  isLongActive,
  loadCode,
  markAccessed,
  readDescriptor,
  selectorOf,
  setRealSegment,
  setSegment,
} from "./descriptors.ts";
import type { Descriptor } from "./descriptors.ts";
import { StackCursor, innerStack, innerStack64, withPrivilege } from "./stack.ts";
import { checkTaskStart, readTss, switchTask, taskPushBytes } from "./task-switch.ts";

/** Where an event comes from: its gate's privilege is checked for software interrupts only. */
export type EventSource =
  | "exception"
  /** INT n, and INT3 and INTO, which are traps */
  | "software"
  /** an external interrupt or NMI */
  | "external";

/** DR7.GD. */
const GENERAL_DETECT = 0x2000;

const CONTRIBUTORY = new Set<number>([
  Vector.DivideError,
  Vector.InvalidTss,
  Vector.SegmentNotPresent,
  Vector.StackFault,
  Vector.GeneralProtection,
]);

/**
 * Delivers an exception or interrupt; rip is the address to return to. Faults on the way become double and
 * then triple faults (Intel SDM vol. 3, 6.15, table 6-5).
 * @returns false for a triple fault: the processor has shut down.
 */
export function deliver(
  cpu: Core,
  vector: number,
  errorCode: number,
  source: EventSource,
): boolean {
  let [current, code, from] = [vector, errorCode, source];
  // The handler of debug exceptions may use the debug registers (Intel SDM vol. 3, 18.2.4).
  if (vector === Vector.Debug && source === "exception") {
    const dr7 = State.DebugRegisters + 7 * 8;
    cpu.setU32(dr7, cpu.u32(dr7) & ~GENERAL_DETECT);
  }
  for (;;) {
    try {
      deliverOnce(cpu, current, code, from);
      return true;
    } catch (thrown) {
      if (!(thrown instanceof GuestFault)) throw thrown;
      const second = thrown.vector;
      if (from === "software" && cpu.returnOnFault !== undefined) cpu.rip = cpu.returnOnFault;
      const external = from === "external" || (from === "exception" && current !== second) ? 1 : 0;
      const first = from === "exception" ? current : -1;
      if (first === Vector.DoubleFault) {
        cpu.sync();
        return false;
      }
      const double =
        (CONTRIBUTORY.has(first) && CONTRIBUTORY.has(second)) ||
        (first === Vector.PageFault && (CONTRIBUTORY.has(second) || second === Vector.PageFault));
      code = double ? 0 : thrown.errorCode;
      // The EXT bit says that the fault arose while delivering something outside the program.
      if (!double && second !== Vector.PageFault && from !== "software" && code >= 0) {
        code |= external;
      }
      current = double ? Vector.DoubleFault : second;
      from = "exception";
      cpu.sync();
    }
  }
}

function deliverOnce(cpu: Core, vector: number, errorCode: number, source: EventSource): void {
  const real = (cpu.u32(State.Cr0) & 1) === 0;
  if (real) deliverReal(cpu, vector);
  else if (isLongActive(cpu)) deliverLong(cpu, vector, errorCode, source);
  else deliverProtected(cpu, vector, errorCode, source);
}

/** Real mode: the vector table's far pointer (Intel SDM vol. 3, 20.1.4). */
function deliverReal(cpu: Core, vector: number): void {
  const limit = cpu.u32(State.Idtr + 8);
  if (vector * 4 + 3 > limit) raise(Vector.DoubleFault, 0);
  const entry = cpu.linear.read(cpu.u64(State.Idtr) + BigInt(vector * 4), 4, true);
  const stack = StackCursor.current(cpu);
  stack.push(2, BigInt(cpu.flags));
  stack.push(2, BigInt(selectorOf(cpu, Segment.Cs)));
  stack.push(2, cpu.rip);
  stack.commit();
  clearFlags(cpu, Flag.If | Flag.Tf | Flag.Rf | Flag.Ac);
  setRealSegment(cpu, Segment.Cs, Number(entry >> 16n));
  cpu.rip = entry & 0xffffn;
  cpu.sync();
}

interface Gate {
  /** The descriptor as it is in memory. */
  readonly low: bigint;
  readonly high: bigint;
  readonly selector: number;
  readonly offset: bigint;
  readonly type: number;
  readonly dpl: number;
  readonly present: boolean;
  readonly ist: number;
}

function readGate(cpu: Core, vector: number, source: EventSource): Gate {
  const long = isLongActive(cpu);
  const bytes = long ? 16 : 8;
  const error = vector * 8 + 2;
  if (vector * bytes + bytes - 1 > cpu.u32(State.Idtr + 8)) raise(Vector.GeneralProtection, error);
  const address = cpu.u64(State.Idtr) + BigInt(vector * bytes);
  const low = cpu.linear.read(address, 8, true);
  const high = long ? cpu.linear.read(address + 8n, 8, true) : 0n;
  let gate = gates[vector];
  if (gate?.low !== low || gate.high !== high) gates[vector] = gate = parseGate(low, high);
  const { type, dpl } = gate;
  const valid = long ? type === 14 || type === 15 : [5, 6, 7, 14, 15].includes(type);
  if (!valid) raise(Vector.GeneralProtection, error);
  if (source === "software" && dpl < cpu.cpl) raise(Vector.GeneralProtection, error);
  if (!gate.present) raise(Vector.SegmentNotPresent, error);
  return gate;
}

function parseGate(low: bigint, high: bigint): Gate {
  const attributes = Number((low >> 40n) & 0xffn);
  const type = attributes & 0x1f;
  const offset = (low & 0xffffn) | ((low >> 32n) & 0xffff0000n) | ((high & 0xffffffffn) << 32n);
  return {
    low,
    high,
    selector: Number((low >> 16n) & 0xffffn),
    offset: type === 6 || type === 7 ? offset & 0xffffn : offset,
    type,
    dpl: (attributes >> 5) & 3,
    present: (attributes & 0x80) !== 0,
    ist: Number((low >> 32n) & 7n),
  };
}

/** The gates that were last taken apart, by vector. */
const gates: (Gate | undefined)[] = Array.from({ length: 256 });

/** The code segment of a gate, and the privilege it leads to. */
function gateCode(cpu: Core, gate: Gate): { code: Descriptor; level: number } {
  const error = gate.selector & 0xfffc;
  if (error === 0) raise(Vector.GeneralProtection, 0);
  const code = readDescriptor(cpu, gate.selector);
  checkCodeType(cpu, code, Vector.GeneralProtection);
  if (code.dpl > cpu.cpl) raise(Vector.GeneralProtection, error);
  if (!code.present) raise(Vector.SegmentNotPresent, error);
  const conforming = (code.attributes & Attribute.Direction) !== 0;
  return { code, level: conforming ? cpu.cpl : code.dpl };
}

/** IA-32e mode (Intel SDM vol. 3, 6.14): always 64-bit frames, on a 16-byte boundary. */
function deliverLong(cpu: Core, vector: number, errorCode: number, source: EventSource): void {
  const gate = readGate(cpu, vector, source);
  const { code, level } = gateCode(cpu, gate);
  if ((code.attributes & Attribute.Long) === 0) {
    raise(Vector.GeneralProtection, gate.selector & 0xfffc);
  }
  const inner = level < cpu.cpl;
  const rsp = cpu.registers[Register.Rsp] as bigint;
  const top =
    gate.ist !== 0 ? innerStack64(cpu, 3 + gate.ist) : inner ? innerStack64(cpu, level) : rsp;
  const ss = selectorOf(cpu, Segment.Ss);
  const { linear } = cpu;
  const wasLong = linear.long;
  linear.long = true;
  const stack = new StackCursor(cpu, top & ~15n, undefined);
  try {
    withPrivilege(cpu, level, () => {
      checkStackCanonical(top);
      stack.push(8, BigInt(ss));
      stack.push(8, rsp);
      stack.push(8, BigInt(savedFlags(cpu, vector, source)));
      stack.push(8, BigInt(selectorOf(cpu, Segment.Cs)));
      stack.push(8, cpu.rip);
      if (errorCode >= 0 && ERROR_CODE_VECTORS.has(vector)) stack.push(8, BigInt(errorCode));
    });
  } finally {
    linear.long = wasLong;
  }
  const canonical = BigInt.asUintN(64, BigInt.asIntN(48, gate.offset)) === gate.offset;
  if (!canonical) raise(Vector.GeneralProtection, 0);
  loadCode(cpu, code, level);
  if (inner) setSegment(cpu, Segment.Ss, level, 0n, 0, level << 5);
  cpu.registers[Register.Rsp] = stack.pointer;
  enterGate(cpu, gate);
}

function checkStackCanonical(pointer: bigint): void {
  if (BigInt.asUintN(64, BigInt.asIntN(48, pointer)) !== pointer) raise(Vector.StackFault, 0);
}

/** RF is set in the image that faults push, so that a breakpoint on the instruction does not repeat. */
function savedFlags(cpu: Core, vector: number, source: EventSource): number {
  const fault = source === "exception" && vector !== Vector.Debug && vector !== Vector.DoubleFault;
  return cpu.flags | (fault ? Flag.Rf : 0);
}

function enterGate(cpu: Core, gate: Gate): void {
  cpu.rip = gate.offset;
  const interrupt = (gate.type & 1) === 0;
  clearFlags(cpu, Flag.Tf | Flag.Nt | Flag.Rf | Flag.Vm | (interrupt ? Flag.If : 0));
  cpu.sync();
}

function clearFlags(cpu: Core, mask: number): void {
  cpu.setU32(State.SystemFlags, cpu.u32(State.SystemFlags) & ~mask);
}

/** Protected mode with 16- or 32-bit gates, from virtual-8086 mode too (Intel SDM vol. 3, 6.12 and 20.3). */
function deliverProtected(cpu: Core, vector: number, errorCode: number, source: EventSource): void {
  const gate = readGate(cpu, vector, source);
  if (gate.type === 5) {
    deliverToTask(cpu, gate, vector, errorCode, source);
    return;
  }
  const { code, level } = gateCode(cpu, gate);
  const virtual = (cpu.u32(State.SystemFlags) & Flag.Vm) !== 0;
  if (virtual && level !== 0) raise(Vector.GeneralProtection, gate.selector & 0xfffc);
  const bytes = gate.type & 8 ? 4 : 2;
  const oldSs = BigInt(selectorOf(cpu, Segment.Ss));
  const oldPointer = cpu.registers[Register.Rsp] as bigint;
  const flags = BigInt(savedFlags(cpu, vector, source));
  const push = (stack: StackCursor): void => {
    stack.push(bytes, flags);
    stack.push(bytes, BigInt(selectorOf(cpu, Segment.Cs)));
    stack.push(bytes, cpu.rip);
    if (errorCode >= 0 && ERROR_CODE_VECTORS.has(vector)) stack.push(bytes, BigInt(errorCode));
  };
  if (level >= cpu.cpl && !virtual) {
    const stack = StackCursor.current(cpu);
    push(stack);
    loadCode(cpu, code, cpu.cpl);
    stack.commit();
    enterGate(cpu, gate);
    return;
  }
  const { pointer, selector } = innerStack(cpu, level);
  const segment = innerStackSegment(cpu, selector, level);
  const stack = new StackCursor(cpu, pointer, segment, selector & 0xfffc);
  withPrivilege(cpu, level, () => {
    if (virtual) {
      for (const register of [Segment.Gs, Segment.Fs, Segment.Ds, Segment.Es]) {
        stack.push(bytes, BigInt(selectorOf(cpu, register)));
      }
    }
    stack.push(bytes, oldSs);
    stack.push(bytes, oldPointer);
    push(stack);
  });
  if (virtual) {
    for (const register of [Segment.Gs, Segment.Fs, Segment.Ds, Segment.Es]) {
      setSegment(cpu, register, 0, 0n, 0, 0);
    }
  }
  loadCode(cpu, code, level);
  const attributes = markAccessed(cpu, segment);
  setSegment(cpu, Segment.Ss, selector, segment.base, segment.limit, attributes);
  cpu.registers[Register.Rsp] = 0n;
  stack.commit();
  enterGate(cpu, gate);
}

/** Through a task gate: the handler is a task of its own, nested in the interrupted one (Intel SDM vol. 3, 6.12.2). */
function deliverToTask(
  cpu: Core,
  gate: Gate,
  vector: number,
  errorCode: number,
  source: EventSource,
): void {
  const tss = readTss(cpu, gate.selector, "call");
  switchTask(cpu, tss, "call", savedFlags(cpu, vector, source), cpu.rip);
  if (errorCode >= 0 && ERROR_CODE_VECTORS.has(vector)) {
    const stack = StackCursor.current(cpu);
    stack.push(taskPushBytes(cpu), BigInt(errorCode));
    stack.commit();
  }
  checkTaskStart(cpu);
}

/** The stack segment that the TSS names for an inner level; #TS if it will not do. */
export function innerStackSegment(cpu: Core, selector: number, level: number): Descriptor {
  const error = selector & 0xfffc;
  if (error === 0) raise(Vector.InvalidTss, 0);
  const descriptor = readDescriptor(cpu, selector, Vector.InvalidTss);
  const { attributes, dpl, system } = descriptor;
  const writableData =
    (attributes & (Attribute.Code | Attribute.ReadWrite)) === Attribute.ReadWrite;
  if (system || !writableData || dpl !== level || (selector & 3) !== level) {
    raise(Vector.InvalidTss, error);
  }
  if (!descriptor.present) raise(Vector.StackFault, error);
  return descriptor;
}
