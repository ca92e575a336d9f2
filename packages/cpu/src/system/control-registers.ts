import type { Core } from "../core.ts";
import { Vector, raise } from "../execute/guest-fault.ts";
import type { Helpers } from "../execute/helper.ts";
import type { MicroOp } from "../execute/micro-op.ts";
import { readModrm, readRegister, writeModrm, writeRegister } from "../execute/operands.ts";
import { PHYSICAL_BITS } from "../paging/page-walk.ts";
import { Flag, Register, Segment, SegmentField, State } from "../state/layout.ts";
import { HelperStatus } from "../state/status.ts";
import { Attribute, isLongActive, isVirtual8086 } from "./descriptors.ts";

/** CR0 bits (Intel SDM vol. 3, 2.5). */
export const Cr0 = {
  Pe: 1,
  Mp: 2,
  Em: 4,
  Ts: 8,
  Et: 16,
  Ne: 32,
  Wp: 0x10000,
  Am: 0x40000,
  Nw: 0x20000000,
  Cd: 0x40000000,
  Pg: 0x80000000,
} as const;

/** CR4 bits. */
export const Cr4 = {
  Vme: 1,
  Pvi: 2,
  Tsd: 4,
  De: 8,
  Pse: 0x10,
  Pae: 0x20,
  Mce: 0x40,
  Pge: 0x80,
  Pce: 0x100,
  Osfxsr: 0x200,
  Osxmmexcpt: 0x400,
  Umip: 0x800,
  Fsgsbase: 0x10000,
  Pcide: 0x20000,
  Osxsave: 0x40000,
  Smep: 0x100000,
  Smap: 0x200000,
} as const;

/** EFER bits. */
export const Efer = { Sce: 1, Lme: 0x100, Lma: 0x400, Nxe: 0x800 } as const;

// VME and PVI are taken for granted by nothing that runs here, and CPUID does not offer them.
const CR4_ALLOWED = Object.entries(Cr4)
  .filter(([name]) => name !== "Vme" && name !== "Pvi")
  .reduce((bits, [, bit]) => bits | bit, 0);
const CR0_DEFINED =
  (Cr0.Pe |
    Cr0.Mp |
    Cr0.Em |
    Cr0.Ts |
    Cr0.Et |
    Cr0.Ne |
    Cr0.Wp |
    Cr0.Am |
    Cr0.Nw |
    Cr0.Cd |
    Cr0.Pg) >>>
  0;
const PHYSICAL_MASK = (1n << BigInt(PHYSICAL_BITS)) - 1n;

/** The next instruction, after something changed that it must see. */
export function resume(cpu: Core, op: MicroOp): number {
  cpu.rip = cpu.nextRip(op);
  cpu.sync();
  return HelperStatus.Jump;
}

/** Reads the four PDPTEs that PAE paging keeps from the time CR3 is loaded (Intel SDM vol. 3, 4.4.1). */
function loadPointers(cpu: Core, cr3: bigint): void {
  const { memory } = cpu.board;
  const at = memory.offsetOf(Number(cr3 & 0xffffffe0n), 32);
  const pointers: number[] = [];
  for (let i = 0; i < 4; i++) {
    const low = at < 0 ? 0 : memory.view.getInt32(at + i * 8, true);
    const high = at < 0 ? 0 : memory.view.getInt32(at + i * 8 + 4, true);
    const reservedHigh = high >>> (PHYSICAL_BITS - 32) !== 0;
    if ((low & 1) !== 0 && ((low & 0x1e6) !== 0 || reservedHigh))
      raise(Vector.GeneralProtection, 0);
    pointers.push(low, high);
  }
  cpu.linear.paging.pointers = pointers;
}

const paeActive = (cr0: number, cr4: number, efer: number): boolean =>
  (cr0 & Cr0.Pg) !== 0 && (cr4 & Cr4.Pae) !== 0 && (efer & Efer.Lma) === 0;

export function writeCr0(cpu: Core, value: bigint): void {
  if (value >> 32n !== 0n) raise(Vector.GeneralProtection, 0);
  const old = cpu.u32(State.Cr0);
  const next = (Number(value & BigInt(CR0_DEFINED)) | Cr0.Et) >>> 0;
  const paging = (next & Cr0.Pg) !== 0;
  if (paging && (next & Cr0.Pe) === 0) raise(Vector.GeneralProtection, 0);
  if ((next & Cr0.Nw) !== 0 && (next & Cr0.Cd) === 0) raise(Vector.GeneralProtection, 0);
  let efer = cpu.u32(State.Efer);
  const cr4 = cpu.u32(State.Cr4);
  const codeLong =
    (cpu.u32(cpu.segmentAt(Segment.Cs, SegmentField.Attributes)) & Attribute.Long) !== 0;
  const toggled = ((old ^ next) & Cr0.Pg) !== 0;
  if (toggled && paging && (efer & Efer.Lme) !== 0) {
    if ((cr4 & Cr4.Pae) === 0 || codeLong) raise(Vector.GeneralProtection, 0);
    efer |= Efer.Lma;
  } else if (toggled && !paging) {
    if (cpu.linear.long || (cr4 & Cr4.Pcide) !== 0) raise(Vector.GeneralProtection, 0);
    efer &= ~Efer.Lma;
  }
  if (paeActive(next, cr4, efer) && (toggled || ((old ^ next) & (Cr0.Cd | Cr0.Nw)) !== 0)) {
    loadPointers(cpu, cpu.u64(State.Cr3));
  }
  cpu.setU64(State.Cr0, BigInt(next));
  cpu.setU32(State.Efer, efer);
  if (((old ^ next) & (Cr0.Pg | Cr0.Wp | Cr0.Pe)) !== 0) cpu.linear.tlb.flush(false);
}

function writeCr3(cpu: Core, value: bigint): void {
  const pcid = (cpu.u32(State.Cr4) & Cr4.Pcide) !== 0;
  const long = isLongActive(cpu);
  const kept = pcid ? value & ~(1n << 63n) : value;
  if (long && kept & ~PHYSICAL_MASK) raise(Vector.GeneralProtection, 0);
  loadCr3(cpu, kept);
}

/** Makes other page tables the current ones. */
export function loadCr3(cpu: Core, kept: bigint): void {
  if (paeActive(cpu.u32(State.Cr0), cpu.u32(State.Cr4), cpu.u32(State.Efer))) {
    loadPointers(cpu, kept);
  }
  cpu.setU64(State.Cr3, kept);
  // Bit 63 only permits keeping translations; dropping them is always right.
  cpu.linear.tlb.flush(true);
}

function writeCr4(cpu: Core, value: bigint): void {
  const next = Number(BigInt.asUintN(32, value));
  if (value >> 32n !== 0n || (next & ~CR4_ALLOWED) !== 0) raise(Vector.GeneralProtection, 0);
  const old = cpu.u32(State.Cr4);
  const long = isLongActive(cpu);
  if (long && (next & Cr4.Pae) === 0) raise(Vector.GeneralProtection, 0);
  if ((next & ~old & Cr4.Pcide) !== 0 && (!long || (cpu.u32(State.Cr3) & 0xfff) !== 0)) {
    raise(Vector.GeneralProtection, 0);
  }
  const translation = Cr4.Pse | Cr4.Pae | Cr4.Pge | Cr4.Smep | Cr4.Smap | Cr4.Pcide;
  const changed = ((old ^ next) & translation) !== 0;
  if (changed && paeActive(cpu.u32(State.Cr0), next, cpu.u32(State.Efer))) {
    loadPointers(cpu, cpu.u64(State.Cr3));
  }
  cpu.setU64(State.Cr4, BigInt(next));
  if (changed) cpu.linear.tlb.flush(false);
}

function writeCr8(cpu: Core, value: bigint): void {
  if (value >> 4n !== 0n) raise(Vector.GeneralProtection, 0);
  cpu.taskPriority = Number(value) << 4;
}

/** Writes EFER as WRMSR does. */
export function writeEfer(cpu: Core, value: bigint): void {
  const allowed = BigInt(Efer.Sce | Efer.Lme | Efer.Lma | Efer.Nxe);
  if (value & ~allowed) raise(Vector.GeneralProtection, 0);
  const old = cpu.u32(State.Efer);
  const next = (Number(value) & ~Efer.Lma) | (old & Efer.Lma);
  const paging = (cpu.u32(State.Cr0) & Cr0.Pg) !== 0;
  if (paging && ((old ^ next) & Efer.Lme) !== 0) raise(Vector.GeneralProtection, 0);
  cpu.setU32(State.Efer, next);
  if (((old ^ next) & Efer.Nxe) !== 0) cpu.linear.tlb.flush(false);
}

function readControl(cpu: Core, number: number): bigint {
  switch (number) {
    case 0:
      return cpu.u64(State.Cr0);
    case 2:
      return cpu.u64(State.Cr2);
    case 3:
      return cpu.u64(State.Cr3);
    case 4:
      return cpu.u64(State.Cr4);
    case 8:
      return BigInt(cpu.taskPriority >> 4);
    default:
      return raise(Vector.InvalidOpcode);
  }
}

function moveControl(cpu: Core, op: MicroOp): number | void {
  const bits = cpu.linear.long ? 64 : 32;
  if (op.entry.operands[1]?.kind === "control") {
    // A LOCK prefix would name CR8 on AMD processors only.
    writeRegister(cpu, op.field(0), bits, readControl(cpu, op.field(1)));
    return HelperStatus.Next;
  }
  const value = readRegister(cpu, op.field(1), bits);
  const write = { 0: writeCr0, 3: writeCr3, 4: writeCr4, 8: writeCr8 }[op.field(0)];
  if (op.field(0) === 2) cpu.setU64(State.Cr2, value);
  else if (write === undefined) raise(Vector.InvalidOpcode);
  else write(cpu, value);
  const status = resume(cpu, op);
  return op.field(0) === 8 ? cpu.changedInterruptFlag() : status;
}

/** DR4 and DR5 are DR6 and DR7 unless CR4.DE makes them invalid. */
function debugRegister(cpu: Core, number: number): number {
  if (number > 7) raise(Vector.InvalidOpcode);
  if (number !== 4 && number !== 5) return number;
  if ((cpu.u32(State.Cr4) & Cr4.De) !== 0) raise(Vector.InvalidOpcode);
  return number + 2;
}

function moveDebug(cpu: Core, op: MicroOp): number {
  const reads = op.entry.operands[1]?.kind === "debug";
  const number = debugRegister(cpu, op.field(reads ? 1 : 0));
  const dr7 = State.DebugRegisters + 7 * 8;
  if ((cpu.u32(dr7) & 0x2000) !== 0) {
    const dr6 = State.DebugRegisters + 6 * 8;
    cpu.setU32(dr6, cpu.u32(dr6) | 0x2000);
    cpu.setU32(dr7, cpu.u32(dr7) & ~0x2000);
    raise(Vector.Debug);
  }
  const bits = cpu.linear.long ? 64 : 32;
  const at = State.DebugRegisters + number * 8;
  if (reads) {
    writeRegister(cpu, op.field(0), bits, cpu.u64(at));
    return HelperStatus.Next;
  }
  const value = readRegister(cpu, op.field(1), bits);
  if (number >= 6 && value >> 32n !== 0n) raise(Vector.GeneralProtection, 0);
  if (number === 6) cpu.setU64(at, (value & 0x1e00fn) | 0xffff0ff0n);
  else if (number === 7) cpu.setU64(at, (value & 0xffff2bffn) | 0x400n);
  else cpu.setU64(at, value);
  cpu.debugChanged();
  cpu.rip = cpu.nextRip(op);
  return HelperStatus.Exit;
}

function umipCheck(cpu: Core): void {
  if ((cpu.u32(State.Cr4) & Cr4.Umip) !== 0 && cpu.cpl > 0) raise(Vector.GeneralProtection, 0);
}

const storeTable =
  (at: number) =>
  (cpu: Core, op: MicroOp): void => {
    umipCheck(cpu);
    const bytes = new Uint8Array(cpu.linear.long ? 10 : 6);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, cpu.u32(at + 8), true);
    if (cpu.linear.long) view.setBigUint64(2, cpu.u64(at), true);
    else view.setUint32(2, cpu.u32(at), true);
    cpu.linear.writeFrom(op.address, bytes);
  };

const loadTable =
  (at: number) =>
  (cpu: Core, op: MicroOp): void => {
    if (isVirtual8086(cpu)) raise(Vector.GeneralProtection, 0);
    const limit = cpu.linear.read(op.address, 2);
    let base: bigint;
    if (cpu.linear.long) {
      base = cpu.linear.read(op.address + 2n, 8);
      if (BigInt.asUintN(64, BigInt.asIntN(48, base)) !== base) raise(Vector.GeneralProtection, 0);
    } else {
      base = cpu.linear.read(op.address + 2n, 4);
      if (op.operandSize === 16) base &= 0xffffffn;
    }
    cpu.setU64(at, base);
    cpu.setU32(at + 8, Number(limit));
  };

/** SMSW, SLDT, STR: a word in memory, the operand size in a register. */
function storeWord(cpu: Core, op: MicroOp, value: bigint): void {
  umipCheck(cpu);
  writeModrm(cpu, op, 0, op.memory ? 16 : op.operandSize, value);
}

function invalidatePage(cpu: Core, op: MicroOp): void {
  const { address } = op;
  cpu.linear.tlb.flushPage(Number(address & 0xffffffffn) | 0);
}

function invalidatePcid(cpu: Core, op: MicroOp): void {
  const bits = cpu.linear.long ? 64 : 32;
  const type = readRegister(cpu, op.field(0), bits);
  const pcid = cpu.linear.read(op.address, 8);
  const address = cpu.linear.read(op.address + 8n, 8);
  if (type > 3n || pcid >> 12n !== 0n) raise(Vector.GeneralProtection, 0);
  if (type < 2n && pcid !== 0n && (cpu.u32(State.Cr4) & Cr4.Pcide) === 0) {
    raise(Vector.GeneralProtection, 0);
  }
  if (type === 0n) {
    if (BigInt.asUintN(64, BigInt.asIntN(48, address)) !== address) {
      raise(Vector.GeneralProtection, 0);
    }
    cpu.linear.tlb.flushPage(Number(address & 0xffffffffn) | 0);
  } else cpu.linear.tlb.flush(type !== 2n);
}

function setAlignmentFlag(value: 0 | 1) {
  return (cpu: Core, op: MicroOp): number => {
    const flags = cpu.u32(State.SystemFlags);
    cpu.setU32(State.SystemFlags, value ? flags | Flag.Ac : flags & ~Flag.Ac);
    return resume(cpu, op);
  };
}

function setExtendedControl(cpu: Core): void {
  if ((cpu.u32(State.Cr4) & Cr4.Osxsave) === 0) raise(Vector.InvalidOpcode);
  if (cpu.cpl !== 0) raise(Vector.GeneralProtection, 0);
  const { registers } = cpu;
  const value =
    ((registers[Register.Rdx] as bigint) & 0xffffffffn) * 0x100000000n +
    ((registers[Register.Rax] as bigint) & 0xffffffffn);
  // x87 state is always on; SSE is the only other component offered.
  const index = (registers[Register.Rcx] as bigint) & 0xffffffffn;
  if (index !== 0n || (value & 1n) === 0n || value & ~3n) raise(Vector.GeneralProtection, 0);
  cpu.setU64(State.Xcr0, value);
}

function getExtendedControl(cpu: Core): void {
  if ((cpu.u32(State.Cr4) & Cr4.Osxsave) === 0) raise(Vector.InvalidOpcode);
  const { registers } = cpu;
  const index = (registers[Register.Rcx] as bigint) & 0xffffffffn;
  if (index > 1n) raise(Vector.GeneralProtection, 0);
  // XCR0 & XINUSE for index 1: both components count as in use.
  const value = cpu.u64(State.Xcr0);
  registers[Register.Rax] = value & 0xffffffffn;
  registers[Register.Rdx] = value >> 32n;
}

/** Moves to and from control and debug registers, descriptor-table registers and TLB invalidation (Intel SDM vol. 3, 2.8). */
export const controlRegisterHelpers: Helpers = {
  "mov-control": moveControl,
  "mov-debug": moveDebug,
  clts(cpu, op) {
    cpu.setU32(State.Cr0, cpu.u32(State.Cr0) & ~Cr0.Ts);
    return resume(cpu, op);
  },
  lmsw(cpu, op) {
    const old = cpu.u32(State.Cr0);
    const low = Number(readModrm(cpu, op, 0, 16)) & 15;
    // LMSW can set PE but not clear it.
    writeCr0(cpu, BigInt(((old & ~14) | low) >>> 0));
    return resume(cpu, op);
  },
  smsw: (cpu, op) => storeWord(cpu, op, cpu.u64(State.Cr0)),
  sgdt: storeTable(State.Gdtr),
  sidt: storeTable(State.Idtr),
  lgdt: loadTable(State.Gdtr),
  lidt: loadTable(State.Idtr),
  sldt: (cpu, op) =>
    storeWord(cpu, op, BigInt(cpu.u32(cpu.segmentAt(Segment.Ldtr, SegmentField.Selector)))),
  str: (cpu, op) =>
    storeWord(cpu, op, BigInt(cpu.u32(cpu.segmentAt(Segment.Tr, SegmentField.Selector)))),
  invlpg: invalidatePage,
  invpcid: invalidatePcid,
  clac: setAlignmentFlag(0),
  stac: setAlignmentFlag(1),
  xsetbv: setExtendedControl,
  xgetbv: getExtendedControl,
  invd: () => undefined,
  wbinvd: () => undefined,
  // The operand is translated as a byte read; there is no cache to flush.
  clflush: (cpu, op) => void cpu.linear.read(op.address, 1),
  clflushopt: (cpu, op) => void cpu.linear.read(op.address, 1),
  clwb: (cpu, op) => void cpu.linear.read(op.address, 1),
};
