import type { Core } from "../core.ts";
import type { MicroOp } from "./micro-op.ts";

/** Integer operands for helpers. Values are unsigned. */

/** A general register given by its offset in the state, as an operand of `bits` bits. */
export function readRegister(cpu: Core, field: number, bits: number): bigint {
  const at = cpu.state + field;
  if (bits === 64) return cpu.view.getBigUint64(at, true);
  if (bits === 32) return BigInt(cpu.view.getUint32(at, true));
  return BigInt(bits === 16 ? cpu.view.getUint16(at, true) : cpu.view.getUint8(at));
}

/** Writes a general register as an operand of `bits` bits: 32-bit writes clear the upper half, narrower ones keep the rest. */
export function writeRegister(cpu: Core, field: number, bits: number, value: bigint): void {
  const at = cpu.state + field;
  if (bits === 8) cpu.view.setUint8(at, Number(value & 0xffn));
  else if (bits === 16) cpu.view.setUint16(at, Number(value & 0xffffn), true);
  else cpu.view.setBigUint64(at, BigInt.asUintN(bits, value), true);
}

/** Reads an operand that ModRM.rm names: a register, or memory at the operand's address. */
export function readModrm(cpu: Core, op: MicroOp, operand: number, bits: 8 | 16 | 32 | 64): bigint {
  if (op.memory) return cpu.linear.read(op.address, (bits / 8) as 1 | 2 | 4 | 8);
  return readRegister(cpu, op.field(operand), bits);
}

export function writeModrm(
  cpu: Core,
  op: MicroOp,
  operand: number,
  bits: 8 | 16 | 32 | 64,
  value: bigint,
): void {
  if (op.memory) cpu.linear.write(op.address, (bits / 8) as 1 | 2 | 4 | 8, value);
  else writeRegister(cpu, op.field(operand), bits, value);
}
