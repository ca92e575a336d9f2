import type { AccessSize } from "@queztl/memory";
import type { Core } from "../core.ts";
import { Vector, raise } from "../execute/guest-fault.ts";
import type { Helpers } from "../execute/helper.ts";
import type { MicroOp } from "../execute/micro-op.ts";
import { Flag, Register, Segment, SegmentField, State } from "../state/layout.ts";
import { HelperStatus } from "../state/status.ts";
import { isVirtual8086 } from "./descriptors.ts";

/** Whether the program may use ports: by IOPL, else by the bit map in the TSS (Intel SDM vol. 1, 19.5). */
function checkPorts(cpu: Core, port: number, bytes: number): void {
  if ((cpu.u32(State.Cr0) & 1) === 0) return;
  const iopl = (cpu.u32(State.SystemFlags) >> 12) & 3;
  if (cpu.cpl <= iopl && !isVirtual8086(cpu)) return;
  const at = (field: number): number => cpu.segmentAt(Segment.Tr, field);
  const limit = cpu.u32(at(SegmentField.Limit));
  const type = cpu.u32(at(SegmentField.Attributes)) & 15;
  const refuse = (): never => raise(Vector.GeneralProtection, 0);
  if ((type & 8) === 0 || limit < 103) refuse();
  const base = cpu.u64(at(SegmentField.Base));
  const map = Number(cpu.linear.read(base + 102n, 2, true));
  const offset = map + (port >> 3);
  if (offset + 1 > limit) refuse();
  const bits = Number(cpu.linear.read(base + BigInt(offset), 2, true));
  const wanted = ((1 << bytes) - 1) << (port & 7);
  if ((bits & wanted) !== 0) refuse();
}

/** Bytes of an access: IN and OUT know 1, 2 and 4. */
function sizeOf(op: MicroOp): AccessSize {
  const narrow = op.entry.operands.some(({ kind, width }) => kind !== "immediate" && width === "b");
  if (narrow) return 1;
  return op.operandSize === 16 ? 2 : 4;
}

function portOf(cpu: Core, op: MicroOp): number {
  const immediate = op.entry.operands.some(({ kind }) => kind === "immediate");
  if (immediate) return op.immediate & 0xff;
  return Number((cpu.registers[Register.Rdx] as bigint) & 0xffffn);
}

function readPort(cpu: Core, port: number, size: AccessSize): number {
  cpu.watchPort(port, size);
  return cpu.board.ports.read(port, size);
}

function writePort(cpu: Core, port: number, size: AccessSize, value: number): void {
  cpu.watchPort(port, size);
  cpu.board.ports.write(port, size, value);
}

/** A device may have raised an interrupt or stopped the machine: look before going on. */
function afterDevice(cpu: Core, op: MicroOp): number {
  if (!cpu.attention) return HelperStatus.Next;
  cpu.rip = cpu.nextRip(op);
  return HelperStatus.Exit;
}

function input(cpu: Core, op: MicroOp): number {
  const port = portOf(cpu, op);
  const size = sizeOf(op);
  checkPorts(cpu, port, size);
  const value = BigInt(readPort(cpu, port, size));
  const old = cpu.registers[Register.Rax] as bigint;
  const mask = size === 1 ? 0xffn : 0xffffn;
  cpu.registers[Register.Rax] = size === 4 ? value : (old & ~mask) | value;
  return afterDevice(cpu, op);
}

function output(cpu: Core, op: MicroOp): number {
  const port = portOf(cpu, op);
  const size = sizeOf(op);
  checkPorts(cpu, port, size);
  writePort(cpu, port, size, Number((cpu.registers[Register.Rax] as bigint) & 0xffffffffn));
  return afterDevice(cpu, op);
}

function indexMask(op: MicroOp): bigint {
  return (1n << BigInt(op.addressSize)) - 1n;
}

/** Writes an index register as its address size says. */
function setIndex(cpu: Core, op: MicroOp, register: number, value: bigint): void {
  const old = cpu.registers[register] as bigint;
  const mask = indexMask(op);
  cpu.registers[register] = op.addressSize === 16 ? (old & ~mask) | (value & mask) : value & mask;
}

/** Linear address of a string operand. */
function stringAddress(
  cpu: Core,
  segment: number,
  offset: bigint,
  size: number,
  write: boolean,
): bigint {
  const base = cpu.u64(cpu.segmentAt(segment, SegmentField.Base));
  if (cpu.linear.long) {
    const based = segment === Segment.Fs || segment === Segment.Gs;
    return BigInt.asUintN(64, offset + (based ? base : 0n));
  }
  cpu.checkSegment(segment, Number(offset), size | (write ? 0x100 : 0));
  return (base + offset) & 0xffffffffn;
}

/** INS and OUTS, one element a call. */
function stringIo(direction: "in" | "out") {
  return (cpu: Core, op: MicroOp): number => {
    const size = sizeOf(op) === 1 ? 1 : op.operandSize === 16 ? 2 : 4;
    const repeated = op.rep || op.repne;
    const mask = indexMask(op);
    const count = (cpu.registers[Register.Rcx] as bigint) & mask;
    const port = Number((cpu.registers[Register.Rdx] as bigint) & 0xffffn);
    // Permission is asked for even where nothing is to be moved.
    checkPorts(cpu, port, size);
    if (repeated && count === 0n) return HelperStatus.Next;
    const index = direction === "in" ? Register.Rdi : Register.Rsi;
    const segment = direction === "in" ? Segment.Es : op.segment;
    const offset = (cpu.registers[index] as bigint) & mask;
    const address = stringAddress(cpu, segment, offset, size, direction === "in");
    if (direction === "in") {
      cpu.linear.checkWritable(address, size);
      cpu.linear.write(address, size, BigInt(readPort(cpu, port, size)));
    } else {
      writePort(cpu, port, size, Number(cpu.linear.read(address, size)));
    }
    const down = (cpu.u32(State.SystemFlags) & Flag.Df) !== 0;
    setIndex(cpu, op, index, offset + BigInt(down ? -size : size));
    if (repeated) setIndex(cpu, op, Register.Rcx, count - 1n);
    if (!repeated || count === 1n) return afterDevice(cpu, op);
    if (!cpu.attention) return HelperStatus.Again;
    cpu.rip = (cpu.u64(State.RipPage) + BigInt(op.inPage)) & cpu.u64(State.RipMask);
    return HelperStatus.Exit;
  };
}

/** Port I/O (Intel SDM vol. 1, 19). */
export const portIoHelpers: Helpers = {
  in: input,
  out: output,
  ins: stringIo("in"),
  outs: stringIo("out"),
};
