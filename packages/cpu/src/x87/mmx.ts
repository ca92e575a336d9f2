/** MMX registers are the significands of the physical x87 registers (SDM vol. 1, 9.5). */
import { Status } from "./registers.ts";
import type { X87Registers } from "./registers.ts";

/** What every MMX instruction but EMMS does first: TOP = 0, all registers valid. */
export function enterMmx(registers: X87Registers): void {
  registers.statusWord &= ~Status.top;
  registers.tags = 0xff;
}

/** EMMS: all registers empty. */
export function leaveMmx(registers: X87Registers): void {
  registers.tags = 0;
  registers.statusWord &= ~Status.top;
}

/** MM(index). */
export function readMmx(registers: X87Registers, index: number): bigint {
  return registers.registers[2 * (index & 7)] ?? 0n;
}

/** Writes MM(index) and sets its sign and exponent to ones. */
export function writeMmx(registers: X87Registers, index: number, value: bigint): void {
  registers.registers[2 * (index & 7)] = value;
  registers.registers[2 * (index & 7) + 1] = 0xffffn;
}
