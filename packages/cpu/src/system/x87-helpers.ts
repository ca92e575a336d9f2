import type { Core } from "../core.ts";
import { Vector, raise } from "../execute/guest-fault.ts";
import type { Helper, Helpers } from "../execute/helper.ts";
import type { MicroOp } from "../execute/micro-op.ts";
import { semanticsName } from "../interpreter/shapes.ts";
import { isX87 } from "../isa/opcode-entry.ts";
import { OPCODES } from "../isa/opcodes.ts";
import { Register, Segment, SegmentField, State } from "../state/layout.ts";
import { X87_OPERANDS } from "../x87/operands.ts";
import { X87Outcome } from "../x87/x87.ts";
import { isReal, selectorOf } from "./descriptors.ts";

const STATUS_BITS = 0x45;

/** Any instruction of D8–DF: the operand is fetched, the x87 executes, the result is written. */
function execute(cpu: Core, op: MicroOp): void {
  const { x87, linear } = cpu;
  const opcode = op.entry.opcode & 7;
  const modrm = op.immediate2 & 0xff;
  if (x87.isPending(opcode, modrm)) raise(Vector.MathFault);
  const { location, operand } = x87;
  location.codeSelector = selectorOf(cpu, Segment.Cs);
  location.instructionPointer =
    (cpu.u64(State.RipPage) + BigInt(op.inPage)) & cpu.u64(State.RipMask);
  const use = op.memory ? X87_OPERANDS[(opcode << 3) | ((modrm >> 3) & 7)] : undefined;
  const narrow = op.operandSize === 16;
  const bytes = use === undefined ? 0 : narrow ? (use.size16 ?? use.size) : use.size;
  const image = new Uint8Array(operand.buffer, 0, bytes);
  if (use !== undefined) {
    const segment = op.segment === Segment.Null ? Segment.Ds : op.segment;
    const base =
      linear.long && op.segment === Segment.Null
        ? 0n
        : cpu.u64(cpu.segmentAt(op.segment, SegmentField.Base));
    location.dataSelector = selectorOf(cpu, segment);
    location.dataPointer = BigInt.asUintN(64, op.address - base);
    x87.layout = { operandSize: narrow ? 16 : 32, realAddresses: isReal(cpu) };
    linear.checkOperand(op.address, bytes, alignmentOf(bytes, narrow));
    if (use.access === "load") linear.readInto(op.address, image);
    else linear.checkWritable(op.address, bytes);
  }
  x87.eflags = cpu.flags;
  switch (x87.execute(opcode, modrm)) {
    case X87Outcome.store:
      linear.writeFrom(op.address, image);
      return;
    case X87Outcome.storeAx: {
      const rax = cpu.registers[Register.Rax] as bigint;
      cpu.registers[Register.Rax] = (rax & ~0xffffn) | BigInt(x87.ax & 0xffff);
      return;
    }
    case X87Outcome.storeFlags:
      // FCOMI sets ZF, PF and CF and clears the other status flags.
      cpu.flags = (cpu.flags & ~0x8d5) | (x87.eflags & STATUS_BITS);
      return;
    case X87Outcome.pending:
      raise(Vector.MathFault);
      return;
    case X87Outcome.undefinedOpcode:
      raise(Vector.InvalidOpcode);
      return;
    case X87Outcome.done:
  }
}

/** The alignment that #AC asks of an operand: its size; 8 for 80-bit ones, a word's for images (Intel SDM vol. 3, table 6-7). */
function alignmentOf(bytes: number, narrow: boolean): number {
  if (bytes > 10) return narrow ? 2 : 4;
  return bytes === 10 ? 8 : bytes;
}

/** FWAIT: reports a pending exception; #NM if CR0.MP and CR0.TS are set. */
function wait(cpu: Core): void {
  if ((cpu.u32(State.Cr0) & 10) === 10) raise(Vector.NoDevice);
  if (cpu.x87.pending) raise(Vector.MathFault);
}

const x87Entries: Record<string, Helper> = {};
for (const entry of OPCODES) {
  if (isX87(entry)) x87Entries[semanticsName(entry)] = execute;
}

/** The x87 instructions (Intel SDM vol. 1, 8). */
export const x87Helpers: Helpers = { ...x87Entries, fwait: wait };
