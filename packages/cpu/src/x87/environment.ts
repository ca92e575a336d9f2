/** Images of the state in memory: FNSTENV, FNSAVE, and the x87 part of FXSAVE and XSAVE (SDM vol. 1, 8.1.10, 10.5 and 13.5.1). */
import {
  Status,
  abridgeTagWord,
  fullTagWord,
  storableControlWord,
  summarize,
} from "./registers.ts";
import type { X87Registers } from "./registers.ts";

/** What decides the layout of an environment. */
export interface EnvironmentLayout {
  /** 16 bits: 14 bytes; otherwise 28 bytes. */
  readonly operandSize: 16 | 32;
  /** Real and virtual-8086 mode store linear addresses in place of selectors. */
  readonly realAddresses: boolean;
}

/** Bytes of an environment. */
export function environmentSize(layout: EnvironmentLayout): 14 | 28 {
  return layout.operandSize === 16 ? 14 : 28;
}

/** The linear address that real mode stores. */
function linear(selector: number, offset: bigint): bigint {
  return BigInt.asUintN(32, (BigInt(selector) << 4n) + offset);
}

/** FNSTENV without its masking of exceptions. */
export function storeEnvironment(
  registers: X87Registers,
  bytes: DataView,
  layout: EnvironmentLayout,
): void {
  const words = [registers.controlWord, registers.statusWord, fullTagWord(registers)];
  const { opcode, codeSelector, dataSelector, instructionPointer, dataPointer } = registers;
  if (layout.operandSize === 16) {
    words.forEach((word, index) => bytes.setUint16(2 * index, word, true));
    if (layout.realAddresses) {
      const code = linear(codeSelector, instructionPointer);
      const data = linear(dataSelector, dataPointer);
      bytes.setUint16(6, Number(code & 0xffffn), true);
      bytes.setUint16(8, Number((code >> 4n) & 0xf000n) | opcode, true);
      bytes.setUint16(10, Number(data & 0xffffn), true);
      bytes.setUint16(12, Number((data >> 4n) & 0xf000n), true);
    } else {
      bytes.setUint16(6, Number(instructionPointer & 0xffffn), true);
      bytes.setUint16(8, codeSelector, true);
      bytes.setUint16(10, Number(dataPointer & 0xffffn), true);
      bytes.setUint16(12, dataSelector, true);
    }
    return;
  }
  words.forEach((word, index) => bytes.setUint32(4 * index, 0xffff0000 + word, true));
  if (layout.realAddresses) {
    const code = linear(codeSelector, instructionPointer);
    const data = linear(dataSelector, dataPointer);
    bytes.setUint32(12, 0xffff0000 + Number(code & 0xffffn), true);
    bytes.setUint32(16, Number((code >> 16n) << 12n) | opcode, true);
    bytes.setUint32(20, 0xffff0000 + Number(data & 0xffffn), true);
    bytes.setUint32(24, Number((data >> 16n) << 12n), true);
  } else {
    bytes.setUint32(12, Number(instructionPointer & 0xffffffffn), true);
    bytes.setUint32(16, (opcode << 16) | codeSelector, true);
    bytes.setUint32(20, Number(dataPointer & 0xffffffffn), true);
    bytes.setUint32(24, 0xffff0000 + dataSelector, true);
  }
}

/** FLDENV. */
export function loadEnvironment(
  registers: X87Registers,
  bytes: DataView,
  layout: EnvironmentLayout,
): void {
  const step = layout.operandSize === 16 ? 2 : 4;
  registers.controlWord = storableControlWord(bytes.getUint16(0, true));
  registers.statusWord = summarize(bytes.getUint16(step, true), registers.controlWord);
  registers.tags = abridgeTagWord(bytes.getUint16(2 * step, true));
  if (layout.operandSize === 16) {
    const code = bytes.getUint16(6, true);
    const codeHigh = bytes.getUint16(8, true);
    const data = bytes.getUint16(10, true);
    const dataHigh = bytes.getUint16(12, true);
    if (layout.realAddresses) {
      registers.opcode = codeHigh & 0x7ff;
      registers.instructionPointer = BigInt(code | ((codeHigh & 0xf000) << 4));
      registers.dataPointer = BigInt(data | ((dataHigh & 0xf000) << 4));
      registers.codeSelector = 0;
      registers.dataSelector = 0;
    } else {
      registers.instructionPointer = BigInt(code);
      registers.codeSelector = codeHigh;
      registers.dataPointer = BigInt(data);
      registers.dataSelector = dataHigh;
      registers.opcode = 0;
    }
    return;
  }
  const codeHigh = bytes.getUint32(16, true);
  const dataHigh = bytes.getUint32(24, true);
  if (layout.realAddresses) {
    registers.opcode = codeHigh & 0x7ff;
    registers.instructionPointer = BigInt(
      bytes.getUint16(12, true) + ((codeHigh >>> 12) & 0xffff) * 0x10000,
    );
    registers.dataPointer = BigInt(
      bytes.getUint16(20, true) + ((dataHigh >>> 12) & 0xffff) * 0x10000,
    );
    registers.codeSelector = 0;
    registers.dataSelector = 0;
  } else {
    registers.instructionPointer = BigInt(bytes.getUint32(12, true));
    registers.codeSelector = codeHigh & 0xffff;
    registers.opcode = (codeHigh >>> 16) & 0x7ff;
    registers.dataPointer = BigInt(bytes.getUint32(20, true));
    registers.dataSelector = dataHigh & 0xffff;
  }
}

/** ST(0) … ST(7), ten bytes each from `at`, and zeros between them. */
export function storeStack(
  registers: X87Registers,
  bytes: DataView,
  at: number,
  stride: 10 | 16,
): void {
  const top = (registers.statusWord & Status.top) >> 11;
  for (let index = 0; index < 8; index++) {
    const physical = (top + index) & 7;
    bytes.setBigUint64(at + index * stride, registers.registers[2 * physical] ?? 0n, true);
    const high = Number((registers.registers[2 * physical + 1] ?? 0n) & 0xffffn);
    bytes.setUint16(at + index * stride + 8, high, true);
    if (stride === 10) continue;
    bytes.setUint16(at + index * stride + 10, 0, true);
    bytes.setUint32(at + index * stride + 12, 0, true);
  }
}

/** The reverse of {@link storeStack}; TOP is already loaded. */
export function loadStack(
  registers: X87Registers,
  bytes: DataView,
  at: number,
  stride: number,
): void {
  const top = (registers.statusWord & Status.top) >> 11;
  for (let index = 0; index < 8; index++) {
    const physical = (top + index) & 7;
    registers.registers[2 * physical] = bytes.getBigUint64(at + index * stride, true);
    registers.registers[2 * physical + 1] = BigInt(bytes.getUint16(at + index * stride + 8, true));
  }
}

/** How FXSAVE and XSAVE present the error pointers. */
export interface LegacyAreaOptions {
  /** REX.W forms store 64-bit pointers; the others 32-bit ones with selectors. */
  readonly wide: boolean;
}

/**
 * Writes the x87 part of the FXSAVE or XSAVE legacy area: bytes 0–23 and 32–159. As on AMD, the error pointers
 * are zero unless an unmasked exception is pending.
 */
export function storeLegacyArea(
  registers: X87Registers,
  bytes: DataView,
  { wide }: LegacyAreaOptions,
): void {
  const pending = (registers.statusWord & Status.errorSummary) !== 0;
  bytes.setUint16(0, registers.controlWord, true);
  bytes.setUint16(2, registers.statusWord, true);
  bytes.setUint8(4, registers.tags);
  bytes.setUint8(5, 0);
  bytes.setUint16(6, pending ? registers.opcode : 0, true);
  const code = pending ? registers.instructionPointer : 0n;
  const data = pending ? registers.dataPointer : 0n;
  if (wide) {
    bytes.setBigUint64(8, code, true);
    bytes.setBigUint64(16, data, true);
  } else {
    bytes.setUint32(8, Number(code & 0xffffffffn), true);
    bytes.setUint32(12, pending ? registers.codeSelector : 0, true);
    bytes.setUint32(16, Number(data & 0xffffffffn), true);
    bytes.setUint32(20, pending ? registers.dataSelector : 0, true);
  }
  storeStack(registers, bytes, 32, 16);
}

/** Reads what {@link storeLegacyArea} writes. */
export function loadLegacyArea(
  registers: X87Registers,
  bytes: DataView,
  { wide }: LegacyAreaOptions,
): void {
  registers.controlWord = storableControlWord(bytes.getUint16(0, true));
  registers.statusWord = summarize(bytes.getUint16(2, true), registers.controlWord);
  registers.tags = bytes.getUint8(4);
  registers.opcode = bytes.getUint16(6, true) & 0x7ff;
  if (wide) {
    registers.instructionPointer = bytes.getBigUint64(8, true);
    registers.dataPointer = bytes.getBigUint64(16, true);
    registers.codeSelector = 0;
    registers.dataSelector = 0;
  } else {
    registers.instructionPointer = BigInt(bytes.getUint32(8, true));
    registers.codeSelector = bytes.getUint16(12, true);
    registers.dataPointer = BigInt(bytes.getUint32(16, true));
    registers.dataSelector = bytes.getUint16(20, true);
  }
  loadStack(registers, bytes, 32, 16);
}
