import { Vector, raise } from "../execute/guest-fault.ts";
import { Flag, Segment, SegmentCheck, SegmentField, State } from "../state/layout.ts";
import type { Core } from "../core.ts";

/** Bits of a segment register's attributes (descriptor bits 40–47, then 52–55). */
export const Attribute = {
  Accessed: 1,
  /** Writable data, readable code. */
  ReadWrite: 2,
  /** Expand-down data, conforming code. */
  Direction: 4,
  Code: 8,
  /** Code or data rather than a system segment. */
  User: 0x10,
  Present: 0x80,
  Long: 0x200,
  Big: 0x400,
  Granular: 0x800,
} as const;

/** A segment or gate descriptor, taken apart (Intel SDM vol. 3, 3.4.5). */
export interface Descriptor {
  readonly selector: number;
  /** Linear address of the descriptor. */
  readonly address: bigint;
  readonly raw: bigint;
  readonly attributes: number;
  readonly type: number;
  readonly dpl: number;
  readonly present: boolean;
  readonly system: boolean;
  readonly base: bigint;
  readonly limit: number;
}

export const isReal = (cpu: Core): boolean =>
  (cpu.u32(State.Cr0) & 1) === 0 || (cpu.u32(State.SystemFlags) & Flag.Vm) !== 0;

export const isVirtual8086 = (cpu: Core): boolean =>
  (cpu.u32(State.Cr0) & 1) !== 0 && (cpu.u32(State.SystemFlags) & Flag.Vm) !== 0;

/** IA-32e mode: 64-bit or compatibility mode. */
export const isLongActive = (cpu: Core): boolean => (cpu.u32(State.Efer) & 0x400) !== 0;

/** Reads the descriptor that a selector names; `vector` (#GP or #TS) with the selector if it is outside its table. */
export function readDescriptor(
  cpu: Core,
  selector: number,
  vector: number = Vector.GeneralProtection,
): Descriptor {
  const local = (selector & 4) !== 0;
  const error = selector & 0xfffc;
  const ldtr = cpu.segmentAt(Segment.Ldtr, 0);
  const base = local ? cpu.u64(ldtr + SegmentField.Base) : cpu.u64(State.Gdtr);
  const limit = local ? cpu.u32(ldtr + SegmentField.Limit) : cpu.u32(State.Gdtr + 8);
  const usable = !local || (cpu.u32(ldtr + SegmentField.Attributes) & Attribute.Present) !== 0;
  if (!usable || (selector & 0xfff8) + 7 > limit) raise(vector, error);
  const address = base + BigInt(selector & 0xfff8);
  const raw = cpu.linear.read(address, 8, true);
  const known = parsed[(selector >> 3) & (PARSED - 1)];
  if (known?.selector === selector && known.raw === raw && known.address === address) return known;
  const descriptor = parseDescriptor(selector, address, raw);
  parsed[(selector >> 3) & (PARSED - 1)] = descriptor;
  return descriptor;
}

/** What was last taken apart: the few descriptors that every event and return loads. */
const PARSED = 32;
const parsed: (Descriptor | undefined)[] = Array.from({ length: PARSED });

export function parseDescriptor(selector: number, address: bigint, raw: bigint): Descriptor {
  const attributes = Number((raw >> 40n) & 0xffn) | (Number((raw >> 52n) & 0xfn) << 8);
  const short = Number(raw & 0xffffn) | (Number((raw >> 48n) & 0xfn) << 16);
  const granular = (attributes & Attribute.Granular) !== 0;
  return {
    selector,
    address,
    raw,
    attributes,
    type: attributes & 15,
    dpl: (attributes >> 5) & 3,
    present: (attributes & Attribute.Present) !== 0,
    system: (attributes & Attribute.User) === 0,
    base: ((raw >> 16n) & 0xffffffn) | ((raw >> 32n) & 0xff000000n),
    limit: granular ? ((short << 12) | 0xfff) >>> 0 : short,
  };
}

/** The 16-byte form that system descriptors have in IA-32e mode: the base's upper half. */
export function readSystemBase(cpu: Core, descriptor: Descriptor): bigint {
  if (!isLongActive(cpu)) return descriptor.base;
  const table = (descriptor.selector & 4) !== 0 ? undefined : cpu.u32(State.Gdtr + 8);
  if (table === undefined || (descriptor.selector & 0xfff8) + 15 > table) {
    raise(Vector.GeneralProtection, descriptor.selector & 0xfffc);
  }
  const high = cpu.linear.read(descriptor.address + 8n, 8, true);
  if ((high & 0x1f0000000000n) !== 0n) {
    raise(Vector.GeneralProtection, descriptor.selector & 0xfffc);
  }
  return descriptor.base | ((high & 0xffffffffn) << 32n);
}

/** Sets a code or data descriptor's accessed bit, in the table and in the attributes returned. */
export function markAccessed(cpu: Core, descriptor: Descriptor): number {
  if ((descriptor.attributes & Attribute.Accessed) === 0) {
    cpu.linear.write(
      descriptor.address + 5n,
      1,
      BigInt((descriptor.attributes | Attribute.Accessed) & 0xff),
      true,
    );
  }
  return descriptor.attributes | Attribute.Accessed;
}

/** Writes a segment register's hidden part. Call `cpu.sync()` after changing CS or SS, `cpu.dataSegmentChanged()` after another. */
export function setSegment(
  cpu: Core,
  segment: number,
  selector: number,
  base: bigint,
  limit: number,
  attributes: number,
): void {
  cpu.setU64(cpu.segmentAt(segment, SegmentField.Base), base);
  cpu.setU32(cpu.segmentAt(segment, SegmentField.Limit), limit);
  cpu.setU32(cpu.segmentAt(segment, SegmentField.Selector), selector & 0xffff);
  cpu.setU32(cpu.segmentAt(segment, SegmentField.Attributes), attributes);
  cpu.setU32(cpu.segmentAt(segment, SegmentField.Checks), checksOf(attributes));
}

/** The accesses that need no more than a comparison with the limit. */
export function checksOf(attributes: number): number {
  const userPresent = Attribute.User | Attribute.Present;
  if ((attributes & userPresent) !== userPresent) return 0;
  if (attributes & Attribute.Code) return attributes & Attribute.ReadWrite ? SegmentCheck.Read : 0;
  if (attributes & Attribute.Direction) return 0;
  return SegmentCheck.Read | (attributes & Attribute.ReadWrite ? SegmentCheck.Write : 0);
}

export const selectorOf = (cpu: Core, segment: number): number =>
  cpu.u32(cpu.segmentAt(segment, SegmentField.Selector));

/** Loads a segment register as real and virtual-8086 mode do: the limit and type stay in real mode. */
export function setRealSegment(cpu: Core, segment: number, selector: number): void {
  const base = BigInt(selector & 0xffff) << 4n;
  if (isVirtual8086(cpu)) {
    setSegment(cpu, segment, selector, base, 0xffff, 0xf3);
    return;
  }
  const limit = cpu.u32(cpu.segmentAt(segment, SegmentField.Limit));
  const old = cpu.u32(cpu.segmentAt(segment, SegmentField.Attributes));
  const kept = segment === Segment.Cs ? 0 : old & Attribute.Big;
  setSegment(cpu, segment, selector, base, limit === 0 ? 0xffff : limit, 0x93 | kept);
}

/**
 * MOV and POP to a data segment register, and SS (Intel SDM vol. 3, 5.6 and 5.7).
 * @param vector of the fault for a segment that will not do: #GP, or #TS where a task switch loads it.
 */
export function loadSegment(
  cpu: Core,
  segment: number,
  selector: number,
  vector: number = Vector.GeneralProtection,
): void {
  if (isReal(cpu)) {
    setRealSegment(cpu, segment, selector);
    changed(cpu, segment);
    return;
  }
  const { cpl } = cpu;
  const rpl = selector & 3;
  const error = selector & 0xfffc;
  if (error === 0) {
    if (segment === Segment.Ss && !(cpu.linear.long && cpl < 3 && rpl === cpl)) {
      raise(vector, 0);
    }
    const attributes = segment === Segment.Ss ? cpl << 5 : 0;
    setSegment(cpu, segment, selector, 0n, 0, attributes);
    changed(cpu, segment);
    return;
  }
  const descriptor = readDescriptor(cpu, selector, vector);
  const { attributes, dpl, system } = descriptor;
  const code = (attributes & Attribute.Code) !== 0;
  const readWrite = (attributes & Attribute.ReadWrite) !== 0;
  if (segment === Segment.Ss) {
    if (system || code || !readWrite || rpl !== cpl || dpl !== cpl) {
      raise(vector, error);
    }
    if (!descriptor.present) raise(Vector.StackFault, error);
  } else {
    const conforming = code && (attributes & Attribute.Direction) !== 0;
    if (system || (code && !readWrite)) raise(vector, error);
    if (!conforming && dpl < Math.max(cpl, rpl)) raise(vector, error);
    if (!descriptor.present) raise(Vector.SegmentNotPresent, error);
  }
  const marked = markAccessed(cpu, descriptor);
  setSegment(cpu, segment, selector, descriptor.base, descriptor.limit, marked);
  changed(cpu, segment);
}

function changed(cpu: Core, segment: number): void {
  if (segment === Segment.Ss) cpu.sync();
  else cpu.dataSegmentChanged();
}

/** Loads CS with a checked code descriptor and moves to privilege `cpl`. */
export function loadCode(cpu: Core, descriptor: Descriptor, cpl: number): void {
  const attributes = markAccessed(cpu, descriptor);
  const selector = (descriptor.selector & 0xfffc) | cpl;
  setSegment(cpu, Segment.Cs, selector, descriptor.base, descriptor.limit, attributes);
  cpu.setU32(State.Cpl, cpl);
}

/** A code segment that a far transfer may enter; in IA-32e mode not both 64-bit and 32-bit. */
export function checkCodeType(cpu: Core, descriptor: Descriptor, vector: number): void {
  const { attributes, system } = descriptor;
  const both = Attribute.Long | Attribute.Big;
  const bad =
    system ||
    (attributes & Attribute.Code) === 0 ||
    (isLongActive(cpu) && (attributes & both) === both);
  if (bad) raise(vector, descriptor.selector & 0xfffc);
}
