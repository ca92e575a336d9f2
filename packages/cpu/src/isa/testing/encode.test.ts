import { describe, expect, it } from "vitest";
import { Decoder } from "../../decode/decoder.ts";
import { PREFIX_REX, PREFIX_LOCK } from "../../decode/instruction.ts";
import type { OpcodeEntry } from "../opcode-entry.ts";
import type { Mode } from "../operand-size.ts";
import { OPCODES } from "../opcodes.ts";
import { encodableForms, encode, operandSizes, type EncodedInstruction } from "./encode.ts";

function xorshift(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

const MODES: readonly Mode[] = [16, 32, 64];
const VECTOR = new Set(["vex", "evex", "xop"]);

/** What the decoder has to find in an encoded instance. */
function expected(entry: OpcodeEntry, made: EncodedInstruction): Record<string, unknown> {
  const { bytes, operandSize, addressSize, form, reg, rm, memory, immediate, immediate2 } = made;
  const moffs = entry.operands.some(({ kind }) => kind === "moffs");
  return {
    entry: entry.id,
    length: bytes.length,
    operandSize,
    addressSize,
    immediate: Number(BigInt.asIntN(32, immediate)),
    // The offset of a far pointer is not extended.
    ...(immediate2 === 0 ? { immediateHigh: Number(BigInt.asIntN(32, immediate >> 32n)) } : {}),
    immediate2,
    ...(VECTOR.has(entry.mnemonic) ? {} : { reg }),
    ...(form === "reg" ? { mod: 3, rm } : {}),
    ...memory,
    ...(moffs
      ? {
          disp: Number(BigInt.asIntN(32, made.offset)),
          dispHigh: Number(BigInt.asIntN(32, made.offset >> 32n)),
        }
      : {}),
  };
}

describe("encode", () => {
  const decoder = new Decoder();

  it.each(MODES)("every form, size and addressing in %i-bit mode → decodes to itself", (mode) => {
    const random = xorshift(0x2545f491 + mode);
    const failures: unknown[] = [];
    let instances = 0;
    for (const entry of OPCODES) {
      for (const operandSize of operandSizes(entry, mode)) {
        for (const form of encodableForms(entry)) {
          for (let i = 0; i < 6; i++) {
            const addressSize = i < 4 ? mode : mode === 32 ? 16 : 32;
            const request = { mode, operandSize, addressSize } as const;
            const made = encode(entry, form === "none" ? request : { ...request, form }, random);
            decoder.decode(made.bytes, 0, made.bytes.length, mode);
            const want = expected(entry, made);
            const got = Object.fromEntries(
              Object.keys(want).map((key) => [
                key,
                decoder.instruction[key as keyof typeof decoder.instruction],
              ]),
            );
            instances++;
            if (JSON.stringify(got) !== JSON.stringify(want))
              failures.push([entry.text, Buffer.from(made.bytes).toString("hex"), got, want]);
          }
        }
      }
    }
    expect(failures.slice(0, 5)).toEqual([]);
    expect(instances).toBeGreaterThan(8_000);
  });

  it("every form → encodable in some mode", () => {
    const never = OPCODES.filter((entry) =>
      MODES.every((mode) => operandSizes(entry, mode).length === 0),
    );
    expect(never).toEqual([]);
  });

  it("LOCK → accepted on memory where the form allows it, refused elsewhere", () => {
    const random = xorshift(7);
    for (const entry of OPCODES) {
      for (const form of encodableForms(entry)) {
        const mode = entry.long ? 64 : 32;
        const request = { mode, lock: true, ...(form === "none" ? {} : { form }) } as const;
        const { bytes } = encode(entry, request, random);
        const found = decoder.decode(bytes, 0, bytes.length, mode);
        if (entry.lock && form === "mem") {
          expect(found, entry.text).toBe(entry.id);
          expect(decoder.instruction.prefixes & PREFIX_LOCK).toBe(PREFIX_LOCK);
        } else expect(found, entry.text).toBe(-1);
      }
    }
  });

  it("byte register 4 with and without REX → SPL and AH", () => {
    const entry = OPCODES.find(({ text }) => text === "88 mov Eb,Gb");
    const request = { mode: 64, form: "reg", reg: 4, rm: 0 } as const;
    const high = encode(entry!, request, xorshift(1)).bytes;
    const low = encode(entry!, { ...request, rex: true }, xorshift(1)).bytes;
    expect([...high]).toEqual([0x88, 0xe0]);
    expect([...low]).toEqual([0x40, 0x88, 0xe0]);
    decoder.decode(low, 0, low.length, 64);
    expect(decoder.instruction.prefixes & PREFIX_REX).toBe(PREFIX_REX);
  });

  it("a form that does not exist as requested → RangeError", () => {
    const push = OPCODES.find(({ text }) => text === "50+ push Zv d64");
    const lea = OPCODES.find(({ text }) => text === "8d lea Gv,M");
    const random = xorshift(1);
    expect(() => encode(push!, { mode: 64, operandSize: 32 }, random)).toThrow(RangeError);
    expect(() => encode(lea!, { mode: 64, form: "reg" }, random)).toThrow(RangeError);
    const memory = { base: 0, index: -1, scale: 0, disp: 0 };
    expect(() => encode(lea!, { mode: 16, memory }, random)).toThrow("no 16-bit addressing form");
  });
});
