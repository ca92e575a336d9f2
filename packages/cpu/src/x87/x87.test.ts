import { describe, expect, test } from "vitest";
import type { F80 } from "../float/format.ts";
import {
  loadEnvironment,
  loadLegacyArea,
  storeEnvironment,
  storeLegacyArea,
} from "./environment.ts";
import { enterMmx, leaveMmx, readMmx, writeMmx } from "./mmx.ts";
import { X87_OPERANDS, x87Operand } from "./operands.ts";
import { Status, createX87Registers, fullTagWord } from "./registers.ts";
import { X87, X87Outcome } from "./x87.ts";

const ONE: F80 = { significand: 1n << 63n, signExponent: 0x3fff };

function initialized(): X87 {
  const x87 = new X87(createX87Registers());
  x87.execute(3, 0xe3);
  return x87;
}

/** ST(index), whatever its tag. */
function st(x87: X87, index: number): F80 {
  const { registers, statusWord } = x87.registers;
  const physical = (((statusWord & Status.top) >> 11) + index) & 7;
  return {
    significand: registers[2 * physical] ?? 0n,
    signExponent: Number(registers[2 * physical + 1] ?? 0n),
  };
}

describe("x87", () => {
  test("FLD1, FLDPI, FMULP → π", () => {
    const x87 = initialized();
    x87.execute(1, 0xe8);
    x87.execute(1, 0xeb);
    expect(x87.execute(6, 0xc9)).toBe(X87Outcome.done);
    expect(st(x87, 0)).toEqual({ significand: 0xc90fdaa22168c235n, signExponent: 0x4000 });
    expect(x87.registers.tags).toBe(0x80);
  });

  test("unmasked division by zero → no result, #MF at the next waiting instruction only", () => {
    const x87 = initialized();
    x87.registers.controlWord = 0x37b;
    x87.execute(1, 0xe8);
    x87.execute(1, 0xee);
    x87.location.instructionPointer = 0x1000n;
    x87.execute(0, 0xf9);
    expect(st(x87, 1)).toEqual(ONE);
    expect(x87.pending).toBe(true);
    expect(x87.isPending(0, 0xc1)).toBe(true);
    expect(x87.execute(0, 0xc1)).toBe(X87Outcome.pending);
    expect(x87.execute(7, 0xe0)).toBe(X87Outcome.storeAx);
    expect(x87.ax & 0x8084).toBe(0x8084);
    expect(x87.registers.opcode).toBe(0x0f9);
    expect(x87.execute(3, 0xe2)).toBe(X87Outcome.done);
    expect(x87.pending).toBe(false);
  });

  test("masking an exception in FLDCW → it is no longer pending", () => {
    const x87 = initialized();
    x87.registers.statusWord = 0x8081;
    x87.registers.controlWord = 0x37e;
    x87.operand.setUint16(0, 0xffff, true);
    expect(x87.execute(1, 0x2f)).toBe(X87Outcome.pending);
    x87.registers.statusWord &= ~0x8080;
    x87.execute(1, 0x2f);
    expect(x87.registers.controlWord).toBe(0x1f7f);
    expect(x87.pending).toBe(false);
  });

  test("unmasked overflow → exponent less 0x6000 in a register, nothing in memory", () => {
    const x87 = initialized();
    x87.operand.setBigUint64(0, 1n << 63n, true);
    x87.operand.setUint16(8, 0x7ffe, true);
    x87.execute(3, 0x2f);
    x87.registers.controlWord = 0x377;
    x87.execute(0, 0xc8);
    expect(st(x87, 0).signExponent).toBe(0x3fff + 2 * 0x3fff - 0x6000);
    x87.execute(3, 0xe2);
    x87.operand.setUint16(8, 0x7ffe, true);
    x87.execute(3, 0x2f);
    expect(x87.execute(1, 0x1f)).toBe(X87Outcome.done);
    expect(st(x87, 0).signExponent).toBe(0x7ffe);
  });

  test("nine pushes → stack overflow with C1, indefinite in ST(0)", () => {
    const x87 = initialized();
    for (let count = 0; count < 9; count++) x87.execute(1, 0xe8);
    expect(x87.registers.statusWord & 0x241).toBe(0x241);
    expect(st(x87, 0)).toEqual({ significand: 3n << 62n, signExponent: 0xffff });
  });

  test("undefined encodings → undefinedOpcode and no change", () => {
    const x87 = initialized();
    for (const [opcode, modrm] of [
      [1, 0x0f],
      [3, 0x27],
      [3, 0x37],
      [5, 0x2f],
      [1, 0xd1],
      [6, 0xd8],
      [7, 0xff],
    ] as const) {
      expect(x87.execute(opcode, modrm)).toBe(X87Outcome.undefinedOpcode);
    }
    expect(x87.registers).toEqual(initialized().registers);
  });

  test("sine of 2^63 → C2 and the operand stays", () => {
    const x87 = initialized();
    x87.operand.setBigUint64(0, 1n << 63n, true);
    x87.operand.setUint16(8, 0x3fff + 63, true);
    x87.execute(3, 0x2f);
    x87.execute(1, 0xfe);
    expect(x87.registers.statusWord & Status.c2).toBe(Status.c2);
    expect(st(x87, 0).signExponent).toBe(0x3fff + 63);
  });
});

describe("x87 memory operands", () => {
  test("every memory encoding → a size and an access, or #UD for the four reserved ones", () => {
    expect(X87_OPERANDS).toHaveLength(64);
    expect(X87_OPERANDS.filter((operand) => operand === undefined)).toHaveLength(4);
    expect(x87Operand(3, 0x2f)).toMatchObject({ mnemonic: "fld", size: 10, access: "load" });
    expect(x87Operand(5, 0x37)).toMatchObject({ mnemonic: "fnsave", size: 108, size16: 94 });
  });
});

describe("x87 state in memory", () => {
  const REAL_32 = { operandSize: 32, realAddresses: true } as const;

  test.each([
    { operandSize: 16, realAddresses: false },
    { operandSize: 16, realAddresses: true },
    { operandSize: 32, realAddresses: false },
    REAL_32,
  ] as const)("environment with %o → itself again", (layout) => {
    const x87 = initialized();
    x87.execute(1, 0xe8);
    Object.assign(x87.registers, {
      opcode: 0x5d9,
      instructionPointer: 0x1234n,
      dataPointer: 0x4321n,
    });
    const first = new DataView(new ArrayBuffer(28));
    storeEnvironment(x87.registers, first, layout);
    const other = createX87Registers();
    other.registers.set(x87.registers.registers);
    loadEnvironment(other, first, layout);
    const second = new DataView(new ArrayBuffer(28));
    storeEnvironment(other, second, layout);
    expect(new Uint8Array(second.buffer)).toEqual(new Uint8Array(first.buffer));
    expect(fullTagWord(other)).toBe(0x3fff);
  });

  test("real-mode environment → linear addresses", () => {
    const { registers } = initialized();
    registers.codeSelector = 0xf000;
    registers.instructionPointer = 0xfff0n;
    registers.opcode = 0x123;
    const bytes = new DataView(new ArrayBuffer(28));
    storeEnvironment(registers, bytes, REAL_32);
    expect(bytes.getUint16(12, true)).toBe(0xfff0);
    expect(bytes.getUint32(16, true)).toBe((0xf << 12) | 0x123);
    storeEnvironment(registers, bytes, { operandSize: 16, realAddresses: true });
    expect(bytes.getUint16(8, true)).toBe(0xf123);
  });

  test("legacy area → registers in stack order, abridged tags, and back", () => {
    const x87 = initialized();
    x87.execute(1, 0xeb);
    x87.execute(1, 0xe8);
    const bytes = new DataView(new ArrayBuffer(512));
    storeLegacyArea(x87.registers, bytes, { wide: true });
    expect(bytes.getUint8(4)).toBe(0xc0);
    expect(bytes.getUint16(40, true)).toBe(0x3fff);
    expect(bytes.getUint16(56, true)).toBe(0x4000);
    const other = createX87Registers();
    loadLegacyArea(other, bytes, { wide: true });
    expect(st(new X87(other), 1)).toEqual(st(x87, 1));
    expect(other.tags).toBe(0xc0);
  });

  test("legacy area while an exception is pending → keeps the error pointers", () => {
    const { registers } = initialized();
    Object.assign(registers, { statusWord: 0x8081, controlWord: 0x37e, opcode: 0x7ff });
    registers.instructionPointer = 0x1234_5678_9abcn;
    registers.codeSelector = 0x10;
    const bytes = new DataView(new ArrayBuffer(512));
    const other = createX87Registers();
    storeLegacyArea(registers, bytes, { wide: true });
    loadLegacyArea(other, bytes, { wide: true });
    expect(other.instructionPointer).toBe(0x1234_5678_9abcn);
    expect(other.opcode).toBe(0x7ff);
    storeLegacyArea(registers, bytes, { wide: false });
    loadLegacyArea(other, bytes, { wide: false });
    expect(other.instructionPointer).toBe(0x5678_9abcn);
    expect(other.codeSelector).toBe(0x10);
  });
});

describe("MMX", () => {
  test("a write → exponent of ones in the physical register, all valid, TOP 0; EMMS → all empty", () => {
    const x87 = initialized();
    x87.execute(1, 0xe8);
    enterMmx(x87.registers);
    writeMmx(x87.registers, 3, 0x0123_4567_89ab_cdefn);
    expect(st(x87, 3)).toEqual({ significand: 0x0123_4567_89ab_cdefn, signExponent: 0xffff });
    expect(readMmx(x87.registers, 3)).toBe(0x0123_4567_89ab_cdefn);
    expect(x87.registers.tags).toBe(0xff);
    leaveMmx(x87.registers);
    expect(x87.registers.tags).toBe(0);
  });
});
