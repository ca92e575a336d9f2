import { expect, test } from "vitest";
import type { OperandClass, Shape } from "../semantics/context.ts";
import { Register, State } from "../state/layout.ts";
import { Record } from "../state/record.ts";
import { Handler } from "../interpreter/handlers.ts";
import type { Step } from "./collect-region.ts";
import { storeFollows } from "./store-ahead.ts";

interface Instruction {
  readonly name: string;
  readonly operands: readonly OperandClass[];
  /** Of the memory operand [base + displacement]. */
  readonly base?: number;
  readonly displacement?: number;
  /** The first operand, if it is a register. */
  readonly to?: number;
  readonly target?: boolean;
}

function follows(instructions: readonly Instruction[]): boolean {
  const view = new DataView(new ArrayBuffer(2 * Record.Length * (instructions.length + 1)));
  const steps = instructions.map((each, i): Step => {
    const addressRecord = each.base === undefined ? 0 : Record.Length * (2 * i + 1);
    const record = Record.Length * (2 * i + 2);
    if (each.base !== undefined) {
      view.setUint8(addressRecord + Record.Base, State.Registers + 8 * each.base);
      view.setUint8(addressRecord + Record.Index, State.Zero);
      view.setInt32(addressRecord + Record.Displacement, each.displacement ?? 0, true);
    }
    view.setUint8(record + Record.A, 8 * (each.to ?? 0));
    const shape: Shape = {
      key: each.name,
      name: each.name,
      operands: each.operands.map((operand) => ({ class: operand, bits: 64 })),
      size: 64,
      condition: -1,
      long: true,
      near: false,
      addressSize: 64,
      repeat: "",
    };
    return {
      addressRecord,
      addressHandler: addressRecord === 0 ? 0 : Handler.AddressBase,
      record,
      leave: record,
      shape,
      inPage: 4 * i,
      length: 4,
      secondPage: -1,
      target: each.target === true ? { offset: 0, crosses: false } : undefined,
      guesses: [],
    };
  });
  return storeFollows(view, steps, 0);
}

const { Rcx, Rdx } = Register;
const load: Instruction = { name: "mov", operands: ["register", "memory"], base: Rdx };
const store: Instruction = { name: "mov", operands: ["memory", "register"], base: Rdx };
const sum: Instruction = { name: "add", operands: ["register", "register"], to: Rcx };

test.each<[string, readonly Instruction[], boolean]>([
  ["a store to what was read", [load, sum, store], true],
  ["a store near it", [load, { ...store, displacement: 64 }], true],
  ["a store far from it", [load, { ...store, displacement: 0x800 }], false],
  ["a store by another base", [load, { ...store, base: Rcx }], false],
  ["a store behind a branch", [load, { ...sum, operands: [], target: true }, store], false],
  ["a store behind what changes the base", [load, { ...sum, to: Rdx }, store], false],
  ["a comparison with it", [load, { ...store, name: "cmp" }], false],
  ["no memory operand of its own", [sum, store], false],
])("%s → %j", (_, instructions, expected) => {
  expect(follows(instructions)).toBe(expected);
});
