import {
  BASE_RIP,
  PREFIX_REX,
  SEGMENT_DS,
  SEGMENT_SS,
  type Instruction,
} from "../decode/instruction.ts";
import type { OpcodeEntry } from "../isa/opcode-entry.ts";
import { widthBytes, type OperandSpec } from "../isa/operand.ts";

const REGISTERS = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"];
const RSP = 4;
const RBP = 5;
const RSI = 6;
const RDI = 7;
const HIGH_BYTES = ["ah", "ch", "dh", "bh"];
const SEGMENTS = ["es", "cs", "ss", "ds", "fs", "gs"];
const MEMORY_SIZES = new Map([
  [1, "byte ptr "],
  [2, "word ptr "],
  [4, "dword ptr "],
  [6, "fword ptr "],
  [8, "qword ptr "],
  [10, "tbyte ptr "],
  [16, "xmmword ptr "],
]);

/** The name of a general register; `bytes` is 1, 2, 4 or 8. `rex`: byte registers 4–7 are SPL … DIL. */
function generalRegister(number: number, bytes: number, rex: boolean): string {
  if (number >= 8) return `r${number}${{ 1: "b", 2: "w", 4: "d" }[bytes] ?? ""}`;
  const name = REGISTERS[number] ?? "";
  if (bytes === 1) {
    if (number < 4) return `${name.slice(0, 1)}l`;
    return rex ? `${name}l` : (HIGH_BYTES[number - 4] ?? "");
  }
  return bytes === 2 ? name : (bytes === 4 ? "e" : "r") + name;
}

const hex = (value: bigint): string => `0x${value.toString(16)}`;

function wide(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low >>> 0);
}

function addressText(i: Instruction): string {
  const bytes = i.addressSize >> 3;
  const parts: string[] = [];
  if (i.base === BASE_RIP) parts.push(i.addressSize === 64 ? "rip" : "eip");
  else if (i.base >= 0) parts.push(generalRegister(i.base, bytes, true));
  if (i.index >= 0) {
    const scale = i.scale === 0 && i.base >= 0 ? "" : `*${1 << i.scale}`;
    parts.push(generalRegister(i.index, bytes, true) + scale);
  }
  if (parts.length === 0) return hex(BigInt.asUintN(i.addressSize, wide(i.disp, i.dispHigh)));
  if (i.disp === 0) return parts.join("+");
  return `${parts.join("+")}${i.disp < 0 ? "-" : "+"}0x${Math.abs(i.disp).toString(16)}`;
}

/** The segment of a memory operand where a prefix makes it another than the default. */
function segmentText(i: Instruction, base: number): string {
  const usual = base === RSP || base === RBP ? SEGMENT_SS : SEGMENT_DS;
  return i.segmentOverride < 0 || i.segment === usual ? "" : `${SEGMENTS[i.segment] ?? ""}:`;
}

/** An operand's text in Intel syntax; `address` is the instruction's own. */
export function operandText(
  entry: OpcodeEntry,
  operand: OperandSpec,
  i: Instruction,
  address: bigint,
): string {
  const { width, registerWidth, kind } = operand;
  const rex = (i.prefixes & PREFIX_REX) !== 0;
  // Registers without a width of their own hold an address.
  const registerBytes =
    registerWidth === "" ? i.addressSize >> 3 : widthBytes(registerWidth, i.operandSize, i.mode);
  const memory = (location: string): string => {
    const bytes = width === "s" ? 0 : widthBytes(width, i.operandSize, i.mode);
    return (MEMORY_SIZES.get(bytes) ?? "") + location;
  };
  const modrmMemory = (): string => memory(`${segmentText(i, i.base)}[${addressText(i)}]`);
  switch (kind) {
    case "rm":
      return i.mod === 3 ? generalRegister(i.rm, registerBytes, rex) : modrmMemory();
    case "rm-register":
    case "opcode-register":
      return generalRegister(i.rm, registerBytes, rex);
    case "reg":
      return generalRegister(i.reg, registerBytes, rex);
    case "register":
      return generalRegister(operand.register, registerBytes, rex);
    case "fixed-segment":
      return SEGMENTS[operand.register] ?? "";
    case "memory":
    case "moffs":
      return modrmMemory();
    case "string-source":
      return memory(`${segmentText(i, RSI)}[${generalRegister(RSI, i.addressSize >> 3, rex)}]`);
    case "string-destination":
      return memory(`es:[${generalRegister(RDI, i.addressSize >> 3, rex)}]`);
    case "immediate": {
      if (width === "w" || (width === "b" && !operand.signed)) {
        const first = entry.operands.find((other) => other.kind === "immediate");
        return `0x${(operand === first ? i.immediate : i.immediate2).toString(16)}`;
      }
      return hex(BigInt.asUintN(i.operandSize, wide(i.immediate, i.immediateHigh)));
    }
    case "one":
      return "1";
    case "relative": {
      const target = address + BigInt(i.length) + wide(i.immediate, i.immediateHigh);
      return hex(BigInt.asUintN(i.operandSize, target));
    }
    case "far-pointer": {
      const offset = BigInt.asUintN(i.operandSize, wide(i.immediate, 0));
      return `0x${i.immediate2.toString(16)}:${hex(offset)}`;
    }
    case "segment":
      return SEGMENTS[i.reg] ?? "";
    case "control":
      return `cr${i.reg}`;
    case "debug":
      return `dr${i.reg}`;
    case "xmm":
      return `xmm${i.reg}`;
    case "xmm-rm":
      return i.mod === 3 ? `xmm${i.rm}` : modrmMemory();
    case "xmm-register":
      return `xmm${i.rm}`;
    case "xmm0":
      return "xmm0";
    case "mmx":
      return `mm${i.reg}`;
    case "mmx-rm":
      return i.mod === 3 ? `mm${i.rm}` : modrmMemory();
    case "mmx-register":
      return `mm${i.rm}`;
    case "st0":
      return "st";
    case "st":
      return `st(${i.rm})`;
  }
}
