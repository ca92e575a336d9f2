/**
 * Vector instructions with every form of address, in 64-bit and 32-bit mode, with page faults and alignment
 * checks, by the oracle of the integer instructions:
 * `node --conditions=@queztl/source packages/cpu/test/simd-oracle/surroundings.ts 200000 [seed [rows]]`.
 */
import { compareWithHost } from "../oracle/campaign.ts";
import { formsOf } from "../oracle/forms.ts";
import type { VectorState } from "../oracle/layout.ts";
import type { Chooser } from "../oracle/values.ts";
import { Random } from "../float-oracle/operands.ts";
import { VARIANTS, writeInstance } from "./instances.ts";
import type { Variant } from "./instances.ts";
import { Field, Fxsave } from "./layout.ts";

const [count = "100000", seed = "1", rows = ""] = process.argv.slice(2);
const entries = new Set(VARIANTS.map(({ entry }) => entry));
const forms = formsOf((entry) => entries.has(entry) && entry.text.includes(rows));

/** The registers that some instance of some variant finds. */
function vectors(chooser: Chooser): VectorState {
  const record = new Uint8Array(Field.RecordLength);
  const random = new Random(chooser.below(0x7fffffff));
  writeInstance(VARIANTS[chooser.below(VARIANTS.length)] as Variant, record, random);
  const view = new DataView(record.buffer, Field.Vectors);
  const field = (at: number, bytes: number): Uint8Array =>
    record.slice(Field.Vectors + at, Field.Vectors + at + bytes);
  return {
    xmm: field(Fxsave.Xmm, 256),
    st: field(Fxsave.St, 128),
    mxcsr: view.getUint32(Fxsave.Mxcsr, true),
    control: view.getUint16(Fxsave.Control, true),
    status: view.getUint16(Fxsave.Status, true),
    tags: view.getUint8(Fxsave.Tags),
    opcode: 0,
    ip: 0n,
    dp: 0n,
  };
}

const result = compareWithHost(forms, Number(seed), Number(count), vectors);
for (const [row, found] of result.different) {
  console.log(`${found.count} × ${row}`);
  for (const report of found.reports.slice(0, 2)) console.log(report);
}
const { instances, completed, differences } = result;
console.log(`${instances} instances, ${completed} completed, ${differences} different`);
