import { encode } from "../../src/isa/testing/encode.ts";
import { differences } from "./compare.ts";
import type { EmulatedHost } from "./emulated.ts";
import { formsOf } from "./forms.ts";
import type { Form } from "./forms.ts";
import { askHost } from "./host.ts";
import { CODE_BYTES, STACK } from "./layout.ts";
import type { Instance } from "./layout.ts";
import type { Chooser } from "./values.ts";

/**
 * Short sequences on registers: what one instruction leaves in the lazily kept flags is what the next one finds.
 * Only instructions whose flags are all defined, but for AF after shifts.
 */
const LINKED =
  /^(add|or|adc|sbb|and|sub|xor|cmp|inc|dec|neg|not|test|xadd|cmpxchg|rol|ror|rcl|rcr|shl|shr|sar|bt|bts|btr|btc|clc|stc|cmc|sahf|popcnt|mul|imul|movzx|bswap|set\w+|cmov\w+)$/;
const SHIFT = /^(shl|shr|sar)$/;

const MOST_BYTES = 16;

/** The forms that sequences are made of. */
export const LINKED_FORMS: readonly Form[] = formsOf(
  ({ mnemonic, operands }) =>
    LINKED.test(mnemonic) && operands.every(({ kind }) => kind !== "memory" && kind !== "moffs"),
).filter(
  ({ form, operandSize, entry }) =>
    form !== "mem" && !(entry.mnemonic === "bswap" && operandSize === 16),
);

/** A sequence, and the form in it that decides which flags are undefined at its end. */
export function sequence(mode: 32 | 64, chooser: Chooser): { form: Form; instance: Instance } {
  const forms = LINKED_FORMS.filter((form) => form.mode === mode);
  const bytes: number[] = [];
  let decides: Form | undefined;
  for (;;) {
    const form = chooser.pick(forms);
    const { entry, vendor, operandSize } = form;
    const request = form.form === "none" ? {} : { form: form.form };
    const made = encode(entry, { mode, vendor, operandSize, ...request }, chooser.next).bytes;
    if (bytes.length + made.length > MOST_BYTES) break;
    bytes.push(...made);
    if (decides === undefined || SHIFT.test(entry.mnemonic)) decides = form;
  }
  const registers = Array.from({ length: 16 }, () => {
    const value = chooser.value();
    return mode === 64 ? value : value & 0xffffffffn;
  });
  registers[4] = STACK + 4096n;
  const instance: Instance = {
    mode,
    code: Uint8Array.from(bytes),
    entry: CODE_BYTES - bytes.length,
    rflags: (chooser.next() & 0x8d5) | 2,
    registers,
    fsBase: 0n,
    gsBase: 0n,
    operandAddress: STACK,
    operand: new Uint8Array(0),
  };
  return { form: decides as Form, instance };
}

/** Compares sequences with the host: the differences in words. */
export function compareSequences(
  emulated: EmulatedHost,
  image: Uint8Array,
  chooser: Chooser,
  count: number,
): string[] {
  const list = Array.from({ length: count }, () => sequence(chooser.oneIn(3) ? 32 : 64, chooser));
  const answers = askHost(
    image,
    list.map(({ instance }) => instance),
  );
  return list.flatMap(({ form, instance }, index) => {
    const host = answers[index];
    if (host === undefined) return ["the host gave no answer"];
    const found = differences(form, instance, host, emulated.run(instance));
    if (found.length === 0) return [];
    const code = Buffer.from(instance.code).toString("hex");
    const registers = instance.registers.map((value) => value.toString(16)).join(" ");
    return [
      `${instance.mode}-bit ${code}, flags ${instance.rflags.toString(16)}, ${registers}: ${found.join("; ")}`,
    ];
  });
}
