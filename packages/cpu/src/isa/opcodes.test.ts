import { describe, expect, it } from "vitest";
import { ENTRY_INFO } from "../decode/dispatch.ts";
import { parseEntry } from "./opcode-entry.ts";
import { OPCODES } from "./opcodes.ts";

describe("opcode table", () => {
  it("every row → its index as id, and a text of its own", () => {
    expect(OPCODES.map((entry) => entry.id)).toEqual([...OPCODES.keys()]);
    expect(new Set(OPCODES.map((entry) => entry.text)).size).toBe(OPCODES.length);
  });

  it("rows with an operand by ModRM → a ModRM byte", () => {
    expect(ENTRY_INFO).toHaveLength(OPCODES.length);
    const byText = new Map(OPCODES.map((entry) => [entry.text, entry]));
    expect(byText.get("01 add Ev,Gv lock")).toMatchObject({
      hasModrm: true,
      lock: true,
      sizeClass: "v",
    });
    expect(byText.get("50+ push Zv d64")).toMatchObject({
      hasModrm: false,
      opcodeRegister: true,
      sizeClass: "d64",
    });
    expect(byText.get("0f9f setg Eb")).toMatchObject({ condition: 15, sizeClass: "fixed" });
  });

  it("a malformed row → refused with the row in the message", () => {
    expect(() => parseEntry(0, "00 add Eb,Qz? lock")).toThrow("unknown operand code Qz?");
    expect(() => parseEntry(0, "00 add Eb,Gb locked")).toThrow("locked");
    expect(() => parseEntry(0, "0f39zz add -")).toThrow("0f39zz");
  });
});
