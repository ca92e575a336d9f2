import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { X86_64_V2 } from "../isa/features.ts";
import { OPCODES } from "../isa/opcodes.ts";
import { Decoder, MAX_INSTRUCTION_LENGTH } from "./decoder.ts";
import {
  BASE_RIP,
  INVALID,
  PREFIX_REP,
  PREFIX_REPNE,
  PREFIX_REX,
  SEGMENT_DS,
  SEGMENT_FS,
  SEGMENT_SS,
  TOO_LONG,
  TRUNCATED,
} from "./instruction.ts";

const bytes = (hex: string): Uint8Array =>
  Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));

const decoder = new Decoder();
const processor = new Decoder({ features: X86_64_V2 });

function decode(hex: string, mode: 16 | 32 | 64 = 64, by = decoder): string | number {
  const code = bytes(hex);
  const entry = by.decode(code, 0, code.length, mode);
  return OPCODES[entry]?.text ?? entry;
}

const anyMode = fc.constantFrom(16 as const, 32 as const, 64 as const);
/** Prefix bytes and escapes far more often than chance has them. */
const anyByte = fc.oneof(
  fc.nat({ max: 255 }),
  fc.constantFrom(
    0x0f,
    0x38,
    0x3a,
    0x66,
    0x67,
    0xf0,
    0xf2,
    0xf3,
    0x2e,
    0x64,
    0x48,
    0x41,
    0xc4,
    0xc5,
    0x62,
    0x8f,
  ),
);
const anyBytes = fc.array(anyByte, { maxLength: 40 }).map((list) => Uint8Array.from(list));

describe("Decoder on any bytes", () => {
  it("any bytes, offset and limit → an entry within the limit, or a refusal", () => {
    fc.assert(
      fc.property(
        anyBytes,
        fc.nat({ max: 40 }),
        fc.nat({ max: 40 }),
        anyMode,
        (code, a, b, mode) => {
          const offset = Math.min(a, code.length);
          const limit = Math.min(offset + b, code.length);
          const entry = decoder.decode(code, offset, limit, mode);
          const { instruction } = decoder;
          expect(instruction.entry).toBe(entry);
          expect(instruction.length).toBeLessThanOrEqual(
            Math.min(limit - offset, MAX_INSTRUCTION_LENGTH),
          );
          if (entry >= 0) expect(instruction.length).toBeGreaterThan(0);
          else expect([INVALID, TRUNCATED, TOO_LONG]).toContain(entry);
          for (const value of Object.values(instruction))
            expect(Number.isInteger(value)).toBe(true);
        },
      ),
      { numRuns: 1000 },
    );
  });

  it("what follows an instruction → no influence on it", () => {
    fc.assert(
      fc.property(anyBytes, anyBytes, anyMode, (code, rest, mode) => {
        const entry = decoder.decode(code, 0, code.length, mode);
        if (entry < 0) return;
        const alone = structuredClone(decoder.instruction);
        const longer = Uint8Array.from([
          ...code.subarray(0, alone.length),
          ...rest,
          ...new Uint8Array(64),
        ]);
        decoder.decode(longer, 0, longer.length, mode);
        expect(structuredClone(decoder.instruction)).toEqual(alone);
      }),
      { numRuns: 600 },
    );
  });

  it("a whole instruction cut short anywhere → TRUNCATED", () => {
    fc.assert(
      fc.property(anyBytes, anyMode, (code, mode) => {
        const entry = decoder.decode(code, 0, code.length, mode);
        if (entry < 0) return;
        const { length } = decoder.instruction;
        for (let limit = 0; limit < length; limit++)
          expect(decoder.decode(code, 0, limit, mode)).toBe(TRUNCATED);
      }),
      { numRuns: 600 },
    );
  });
});

describe("Decoder", () => {
  it("15 bytes → decoded; 16 → TOO_LONG; the first 14 of either → TRUNCATED", () => {
    expect(decode(`${"66".repeat(14)}90`)).toBe("90 b0 nop -");
    expect(decoder.instruction.length).toBe(15);
    expect(decode(`${"66".repeat(15)}90`)).toBe(TOO_LONG);
    expect(decode("66".repeat(14))).toBe(TRUNCATED);
    expect(decode(`${"66".repeat(11)}8104240102`)).toBe(TOO_LONG);
  });

  it("F2 and F3 → the last one counts, over 66", () => {
    expect(decode("f2f30f58c1")).toBe("0f58 f3 addss Vss,Wss sse");
    expect(decoder.instruction.prefixes & (PREFIX_REP | PREFIX_REPNE)).toBe(PREFIX_REP);
    expect(decode("f3f2660f58c1")).toBe("0f58 f2 addsd Vsd,Wsd sse2");
    expect(decoder.instruction.prefixes & (PREFIX_REP | PREFIX_REPNE)).toBe(PREFIX_REPNE);
  });

  it("REX before another prefix → ignored", () => {
    expect(decode("486601c0")).toBe("01 add Ev,Gv lock");
    expect(decoder.instruction).toMatchObject({ operandSize: 16 });
    expect(decoder.instruction.prefixes & PREFIX_REX).toBe(0);
    decode("664801c0");
    expect(decoder.instruction).toMatchObject({ operandSize: 64 });
  });

  it("90 with REX.B → an exchange, F3 or not (as observed on AMD processors)", () => {
    expect(decode("4190")).toBe("90+ xchg Zv,rAX");
    expect(decode("f34190")).toBe("90+ xchg Zv,rAX");
    expect(decode("4890")).toBe("90 b0 nop -");
    expect(decode("f390")).toBe("90 b0 f3 pause -");
  });

  it("a memory operand's segment → SS for rSP and rBP bases, FS and GS alone overriding in 64-bit mode", () => {
    const segment = (hex: string, mode: 16 | 32 | 64 = 64): number => {
      decode(hex, mode);
      return decoder.instruction.segment;
    };
    expect(segment("8b4500")).toBe(SEGMENT_SS);
    expect(segment("418b4500")).toBe(SEGMENT_DS);
    expect(segment("8b0424")).toBe(SEGMENT_SS);
    expect(segment("3e8b4500")).toBe(SEGMENT_SS);
    expect(segment("3e8b4500", 32)).toBe(SEGMENT_DS);
    expect(segment("642e8b00")).toBe(SEGMENT_FS);
    expect(segment("8b02", 16)).toBe(SEGMENT_SS);
    expect(segment("8b0500000000", 32)).toBe(SEGMENT_DS);
  });

  it("ModRM 05 → RIP-relative in 64-bit mode only; SIB base 5 → no base", () => {
    decode("8b0578563412");
    expect(decoder.instruction).toMatchObject({ base: BASE_RIP, disp: 0x12345678 });
    decode("8b0578563412", 32);
    expect(decoder.instruction).toMatchObject({ base: -1, index: -1, disp: 0x12345678 });
    decode("8b04e500000080");
    expect(decoder.instruction).toMatchObject({
      base: -1,
      index: -1,
      disp: -0x80000000,
      dispHigh: -1,
    });
    decode("428b04e500000000");
    expect(decoder.instruction).toMatchObject({ base: -1, index: 12, scale: 3 });
  });

  it("C4, C5, 62 and 8F → vector frames or LES, LDS, BOUND, POP", () => {
    expect(decode("c5f877")).toBe("c5 vex - only64 avx");
    expect(decode("c50424", 32)).toBe("c5 mem lds Gv,Mp z inv64");
    expect(decode("c5f877", 32)).toBe("c5 reg vex - inv64 avx");
    expect(decode("620424", 32)).toBe("62 mem bound Gv,Ma inv64");
    expect(decode("8f00")).toBe("8f /0 pop Ev d64");
    expect(decode("8fe97890c1")).toBe("8f /123567 xop - xop");
    // A prefix that VEX replaces is not allowed before it.
    expect(decode("66c5f877")).toBe(INVALID);
    expect(decode("48c5f877")).toBe(INVALID);
  });

  it("forms of a feature that is not offered → INVALID, or the older instruction behind the prefix", () => {
    expect(decode("c5f877", 64, processor)).toBe(INVALID);
    expect(decode("660f38dcc1", 64, processor)).toBe(INVALID);
    expect(decode("f30fbcc1")).toBe("0fbc f3 tzcnt Gv,Ev bmi1");
    expect(decode("f30fbcc1", 64, processor)).toBe("0fbc bsf Gv,Ev");
    expect(decode("f30fb8c1", 64, processor)).toBe("0fb8 f3 popcnt Gv,Ev popcnt");
  });

  it("opcodes that 64-bit mode lacks → INVALID there", () => {
    for (const hex of ["06", "27", "60", "82c000", "9a", "c40424", "ce", "d40a", "d6", "ea"])
      expect(decode(hex + "00".repeat(8)), hex).toSatisfy(
        (text: string | number) => text === INVALID || /vex/.test(String(text)),
      );
  });
});
