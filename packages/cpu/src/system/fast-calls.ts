import { Vector, raise } from "../execute/guest-fault.ts";
import type { Helpers } from "../execute/helper.ts";
import type { MicroOp } from "../execute/micro-op.ts";
import { Flag, Register, Segment, State } from "../state/layout.ts";
import { HelperStatus } from "../state/status.ts";
import type { Core } from "../core.ts";
import { isLongActive, isReal, setSegment } from "./descriptors.ts";

const FLAT = 0xffffffff;
/** Present, code or data; the privilege and L or D/B bits are added. */
const CODE = 0x80 | 0x10 | 0xb | 0x800;
const DATA = 0x80 | 0x10 | 0x3 | 0x800 | 0x400;
const LONG = 0x200;
const BIG = 0x400;

function enter(cpu: Core, selector: number, cpl: number, long: boolean): void {
  const dpl = cpl << 5;
  setSegment(cpu, Segment.Cs, selector | cpl, 0n, FLAT, CODE | dpl | (long ? LONG : BIG));
  setSegment(cpu, Segment.Ss, (selector + 8) | cpl, 0n, FLAT, DATA | dpl);
  cpu.setU32(State.Cpl, cpl);
  cpu.sync();
}

/** SYSCALL, in 64-bit mode only as on Intel processors (Intel SDM vol. 2, SYSCALL). */
function syscall(cpu: Core, op: MicroOp): number {
  if (!cpu.linear.long || (cpu.u32(State.Efer) & 1) === 0) raise(Vector.InvalidOpcode);
  const { msr, registers } = cpu;
  registers[Register.Rcx] = cpu.nextRip(op);
  registers[11] = BigInt(cpu.flags & ~Flag.Rf);
  cpu.flags = cpu.flags & ~Number(msr.fmask & 0xffffffffn) & ~Flag.Rf;
  cpu.rip = msr.lstar;
  cpu.entered = (cpu.flags & Flag.Tf) === 0;
  enter(cpu, Number((msr.star >> 32n) & 0xfffcn), 0, true);
  return HelperStatus.Jump;
}

function sysret(cpu: Core, op: MicroOp): number {
  if (!cpu.linear.long || (cpu.u32(State.Efer) & 1) === 0) raise(Vector.InvalidOpcode);
  if (cpu.cpl !== 0) raise(Vector.GeneralProtection, 0);
  const { msr, registers } = cpu;
  const to64 = op.operandSize === 64;
  const rcx = registers[Register.Rcx] as bigint;
  if (to64 && BigInt.asUintN(64, BigInt.asIntN(48, rcx)) !== rcx)
    raise(Vector.GeneralProtection, 0);
  const base = Number((msr.star >> 48n) & 0xffffn);
  const flags = Number((registers[11] as bigint) & 0x3c7fd7n) | Flag.Fixed;
  const dpl = 3 << 5;
  const cs = ((to64 ? base + 16 : base) & 0xffff) | 3;
  setSegment(cpu, Segment.Cs, cs, 0n, FLAT, CODE | dpl | (to64 ? LONG : BIG));
  setSegment(cpu, Segment.Ss, ((base + 8) & 0xffff) | 3, 0n, FLAT, DATA | dpl);
  cpu.setU32(State.Cpl, 3);
  cpu.flags = flags;
  cpu.rip = to64 ? rcx : rcx & 0xffffffffn;
  cpu.sync();
  return cpu.changedInterruptFlag();
}

function sysenter(cpu: Core): number {
  const { msr } = cpu;
  const selector = Number(msr.sysenterCs & 0xfffcn);
  if (isReal(cpu) || selector === 0) raise(Vector.GeneralProtection, 0);
  cpu.setU32(State.SystemFlags, cpu.u32(State.SystemFlags) & ~(Flag.Vm | Flag.If | Flag.Rf));
  const long = isLongActive(cpu);
  const width = long ? 64 : 32;
  enter(cpu, selector, 0, long);
  cpu.rip = BigInt.asUintN(width, msr.sysenterEip);
  cpu.registers[Register.Rsp] = BigInt.asUintN(width, msr.sysenterEsp);
  return HelperStatus.Jump;
}

function sysexit(cpu: Core, op: MicroOp): number {
  const { msr, registers } = cpu;
  const selector = Number(msr.sysenterCs & 0xfffcn);
  if (isReal(cpu) || selector === 0 || cpu.cpl !== 0) raise(Vector.GeneralProtection, 0);
  const to64 = op.operandSize === 64;
  const rip = registers[Register.Rdx] as bigint;
  const rsp = registers[Register.Rcx] as bigint;
  for (const address of to64 ? [rip, rsp] : []) {
    const canonical = BigInt.asUintN(64, BigInt.asIntN(48, address)) === address;
    if (!canonical) raise(Vector.GeneralProtection, 0);
  }
  enter(cpu, (selector + (to64 ? 32 : 16)) & 0xffff, 3, to64);
  cpu.rip = to64 ? rip : rip & 0xffffffffn;
  registers[Register.Rsp] = to64 ? rsp : rsp & 0xffffffffn;
  return HelperStatus.Jump;
}

function swapgs(cpu: Core): void {
  if (cpu.cpl !== 0) raise(Vector.GeneralProtection, 0);
  const base = cpu.segmentAt(Segment.Gs, 0);
  const old = cpu.u64(base);
  cpu.setU64(base, cpu.msr.kernelGsBase);
  cpu.msr.kernelGsBase = old;
}

/** Fast system calls (Intel SDM vol. 3, 5.8.7 and 5.8.8). */
export const fastCallHelpers: Helpers = {
  syscall,
  sysret,
  sysenter,
  sysexit,
  swapgs,
};
