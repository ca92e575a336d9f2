import type { Core } from "../core.ts";
import { Vector, raise } from "../execute/guest-fault.ts";
import { Flag, Segment, SegmentField, State } from "../state/layout.ts";
import { Cr0, loadCr3 } from "./control-registers.ts";
import {
  Attribute,
  checkCodeType,
  loadCode,
  loadSegment,
  readDescriptor,
  selectorOf,
  setRealSegment,
  setSegment,
} from "./descriptors.ts";
import type { Descriptor } from "./descriptors.ts";

/** How a task is entered; interrupts and exceptions enter as CALL does. */
export type TaskEntry = "jump" | "call" | "return";

/** Where a task-state segment keeps things, in bytes (Intel SDM vol. 3, figures 8-2 and 8-10). */
interface TssLayout {
  /** The lowest limit that a TSS may have. */
  readonly leastLimit: number;
  /** Bytes of a general register, of the instruction pointer and of the flags. */
  readonly bytes: 2 | 4;
  /** Instruction pointer, flags and the general registers, rAX first, follow each other from here. */
  readonly dynamic: number;
  readonly selectors: number;
  /** Segment registers in their order, a register's bytes apart. */
  readonly segments: readonly number[];
  readonly ldt: number;
}

const LINK = 0;
const CR3 = 0x1c;
const DEBUG_TRAP = 0x64;

const TSS_16: TssLayout = {
  leastLimit: 0x2b,
  bytes: 2,
  dynamic: 0x0e,
  selectors: 0x22,
  segments: [Segment.Es, Segment.Cs, Segment.Ss, Segment.Ds],
  ldt: 0x2a,
};

const TSS_32: TssLayout = {
  leastLimit: 0x67,
  bytes: 4,
  dynamic: 0x20,
  selectors: 0x48,
  segments: [Segment.Es, Segment.Cs, Segment.Ss, Segment.Ds, Segment.Fs, Segment.Gs],
  ldt: 0x60,
};

/** In the type of a TSS descriptor. */
const BUSY = 2;
const WIDE = 8;

const layoutOf = (type: number): TssLayout => (type & WIDE ? TSS_32 : TSS_16);
const endOf = ({ selectors, segments, bytes }: TssLayout): number =>
  selectors + segments.length * bytes;

/** DR7's enable bits that belong to one task: L0–L3 and LE. */
const LOCAL_BREAKPOINTS = 0x155;
/** DR6.BT. */
export const TASK_TRAP = 0x8000;

/** The TSS that a task may be entered by: available, or busy where IRET returns to it. */
export function readTss(cpu: Core, selector: number, entry: TaskEntry): Descriptor {
  const vector = entry === "return" ? Vector.InvalidTss : Vector.GeneralProtection;
  const error = selector & 0xfffc;
  if (error === 0 || (selector & 4) !== 0) raise(vector, error);
  const tss = readDescriptor(cpu, selector, vector);
  const wanted = entry === "return" ? [3, 11] : [1, 9];
  if (!tss.system || !wanted.includes(tss.type)) raise(vector, error);
  if (!tss.present) raise(Vector.SegmentNotPresent, error);
  return tss;
}

/** The TSS of the task that the current one is nested in. */
export function readLinkedTss(cpu: Core): Descriptor {
  const base = cpu.u64(cpu.segmentAt(Segment.Tr, SegmentField.Base));
  return readTss(cpu, Number(cpu.linear.read(base, 2, true)), "return");
}

/**
 * Switches tasks (Intel SDM vol. 3, 8.3). Faults up to the commit point are the old task's and change nothing; from
 * there on they are the new task's, before its first instruction: `cpu.rip` is there and `cpu.entered` set.
 * @param flags the old task's flags as they are saved, @param rip where it goes on.
 */
export function switchTask(
  cpu: Core,
  tss: Descriptor,
  entry: TaskEntry,
  flags: number,
  rip: bigint,
): void {
  checkTask(cpu, tss, entry);
  leaveTask(cpu, tss, entry, flags, rip);
  // Read only now: a task may return to itself.
  const image = readImage(cpu, tss);
  enterTask(cpu, tss, entry, image);
  cpu.returnOnFault = undefined;
  loadTask(cpu, tss, image);
}

/** Throws whatever could still fault in the old task. */
function checkTask(cpu: Core, tss: Descriptor, entry: TaskEntry): void {
  const { linear } = cpu;
  const { leastLimit } = layoutOf(tss.type);
  if (tss.limit < leastLimit) raise(Vector.InvalidTss, tss.selector & 0xfffc);
  const at = (field: number): number => cpu.segmentAt(Segment.Tr, field);
  const old = layoutOf(cpu.u32(at(SegmentField.Attributes)));
  if (cpu.u32(at(SegmentField.Limit)) < endOf(old) - 1) {
    raise(Vector.InvalidTss, selectorOf(cpu, Segment.Tr) & 0xfffc);
  }
  const base = cpu.u64(at(SegmentField.Base));
  linear.checkWritable(base + BigInt(old.dynamic), endOf(old) - old.dynamic, true);
  if (entry !== "call") linear.checkWritable(descriptorOfTr(cpu) + 5n, 1, true);
  if (entry === "call") linear.checkWritable(tss.base + BigInt(LINK), 2, true);
  if (entry !== "return") linear.checkWritable(tss.address + 5n, 1, true);
  readImage(cpu, tss);
}

function readImage(cpu: Core, tss: Descriptor): DataView {
  const image = new Uint8Array(layoutOf(tss.type).leastLimit + 1);
  cpu.linear.readInto(tss.base, image, true);
  return new DataView(image.buffer);
}

const descriptorOfTr = (cpu: Core): bigint =>
  cpu.u64(State.Gdtr) + BigInt(selectorOf(cpu, Segment.Tr) & 0xfff8);

/** Saves the old task's state and its place in the chain of tasks. */
function leaveTask(cpu: Core, tss: Descriptor, entry: TaskEntry, flags: number, rip: bigint): void {
  const { linear } = cpu;
  const write = (address: bigint, bytes: 1 | 2 | 4, value: bigint): void =>
    linear.write(address, bytes, value, true);
  if (entry !== "call") {
    const at = descriptorOfTr(cpu) + 5n;
    write(at, 1, linear.read(at, 1, true) & ~BigInt(BUSY));
  }
  const base = cpu.u64(cpu.segmentAt(Segment.Tr, SegmentField.Base));
  const layout = layoutOf(cpu.u32(cpu.segmentAt(Segment.Tr, SegmentField.Attributes)));
  const { bytes, dynamic, selectors, segments } = layout;
  const image = entry === "return" ? flags & ~Flag.Nt : flags;
  const values = [rip, BigInt(image), ...cpu.registers.subarray(0, 8)];
  values.forEach((value, i) => write(base + BigInt(dynamic + i * bytes), bytes, value));
  segments.forEach((segment, i) =>
    write(base + BigInt(selectors + i * bytes), 2, BigInt(selectorOf(cpu, segment))),
  );
  if (entry === "call") write(tss.base + BigInt(LINK), 2, BigInt(selectorOf(cpu, Segment.Tr)));
  if (entry !== "return") write(tss.address + 5n, 1, BigInt((tss.attributes | BUSY) & 0xff));
}

/** Takes over registers, flags and selectors: the commit. No descriptor is loaded yet. */
function enterTask(cpu: Core, tss: Descriptor, entry: TaskEntry, image: DataView): void {
  const layout = layoutOf(tss.type);
  const { bytes, dynamic, selectors, segments, ldt } = layout;
  const word = (at: number): number =>
    bytes === 4 ? image.getUint32(at, true) : image.getUint16(at, true);
  setSegment(cpu, Segment.Tr, tss.selector, tss.base, tss.limit, tss.attributes | BUSY);
  cpu.setU32(State.Cr0, cpu.u32(State.Cr0) | Cr0.Ts);
  cpu.rip = BigInt(word(dynamic));
  const flags = word(dynamic + bytes);
  cpu.flags = entry === "call" ? flags | Flag.Nt : flags;
  for (let i = 0; i < 8; i++) cpu.registers[i] = BigInt(word(dynamic + (2 + i) * bytes));
  const selector = (i: number): number => image.getUint16(selectors + i * bytes, true);
  const virtual = (cpu.u32(State.SystemFlags) & Flag.Vm) !== 0;
  cpu.setU32(State.Cpl, virtual ? 3 : selector(segments.indexOf(Segment.Cs)) & 3);
  setSegment(cpu, Segment.Ldtr, image.getUint16(ldt, true), 0n, 0, 0);
  // A 16-bit TSS has no FS and GS.
  for (const segment of [Segment.Fs, Segment.Gs]) setSegment(cpu, segment, 0, 0n, 0, 0);
  segments.forEach((segment, i) => setSegment(cpu, segment, selector(i), 0n, 0, 0));
  const dr7 = State.DebugRegisters + 7 * 8;
  cpu.setU32(dr7, cpu.u32(dr7) & ~LOCAL_BREAKPOINTS);
  cpu.debugChanged();
  cpu.entered = true;
  cpu.sync();
}

/** Loads what the selectors name, and checks it (Intel SDM vol. 3, table 8-1). */
function loadTask(cpu: Core, tss: Descriptor, image: DataView): void {
  const wide = (tss.type & WIDE) !== 0;
  if (wide && (cpu.u32(State.Cr0) & Cr0.Pg) !== 0) {
    loadCr3(cpu, BigInt(image.getUint32(CR3, true)));
    cpu.sync();
  }
  loadLdt(cpu);
  const { segments } = layoutOf(tss.type);
  const data = segments.filter((segment) => segment !== Segment.Cs && segment !== Segment.Ss);
  if ((cpu.u32(State.SystemFlags) & Flag.Vm) !== 0) {
    for (const segment of segments) setRealSegment(cpu, segment, selectorOf(cpu, segment));
  } else {
    loadTaskCode(cpu);
    for (const segment of [Segment.Ss, ...data]) {
      loadSegment(cpu, segment, selectorOf(cpu, segment), Vector.InvalidTss);
    }
  }
  cpu.sync();
  if (wide && (image.getUint8(DEBUG_TRAP) & 1) !== 0) cpu.taskTrap = true;
}

function loadLdt(cpu: Core): void {
  const selector = selectorOf(cpu, Segment.Ldtr);
  const error = selector & 0xfffc;
  if (error === 0) return;
  if ((selector & 4) !== 0) raise(Vector.InvalidTss, error);
  const ldt = readDescriptor(cpu, selector, Vector.InvalidTss);
  if (!ldt.system || ldt.type !== 2 || !ldt.present) raise(Vector.InvalidTss, error);
  setSegment(cpu, Segment.Ldtr, selector, ldt.base, ldt.limit, ldt.attributes);
}

function loadTaskCode(cpu: Core): void {
  const selector = selectorOf(cpu, Segment.Cs);
  const error = selector & 0xfffc;
  const rpl = selector & 3;
  if (error === 0) raise(Vector.InvalidTss, 0);
  const code = readDescriptor(cpu, selector, Vector.InvalidTss);
  checkCodeType(cpu, code, Vector.InvalidTss);
  const conforming = (code.attributes & Attribute.Direction) !== 0;
  if (conforming ? code.dpl > rpl : code.dpl !== rpl) raise(Vector.InvalidTss, error);
  if (!code.present) raise(Vector.SegmentNotPresent, error);
  loadCode(cpu, code, rpl);
  cpu.sync();
}

/** Throws #GP if the new task does not begin inside its code segment. */
export function checkTaskStart(cpu: Core): void {
  const limit = cpu.u32(cpu.segmentAt(Segment.Cs, SegmentField.Limit));
  if (cpu.rip > BigInt(limit)) raise(Vector.GeneralProtection, 0);
}

/** A new task's stack as error codes are pushed on it. */
export const taskPushBytes = (cpu: Core): 2 | 4 =>
  layoutOf(cpu.u32(cpu.segmentAt(Segment.Tr, SegmentField.Attributes))).bytes;
