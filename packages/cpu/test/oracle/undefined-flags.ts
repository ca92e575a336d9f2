import { Flag } from "../../src/state/layout.ts";
import type { Form } from "./forms.ts";
import type { Instance } from "./layout.ts";

/** Flags that an instruction leaves undefined. */
export interface UndefinedFlags {
  readonly mnemonics: string;
  /** The flags. */
  readonly flags: number;
  /** What the manual says (Intel SDM vol. 2), in our words. */
  readonly because: string;
}

const { Cf, Pf, Af, Zf, Sf, Of } = Flag;

export const UNDEFINED_FLAGS: readonly UndefinedFlags[] = [
  {
    mnemonics: "shl shr sar",
    flags: Af,
    because:
      "AF is undefined after a shift by one or more; AMD processors set it, Intel ones clear it",
  },
  {
    mnemonics: "shld shrd",
    flags: Af | Of,
    because: "AF is undefined after a shift by one or more, OF after one by more than one",
  },
  {
    mnemonics: "div idiv",
    flags: Cf | Pf | Af | Zf | Sf | Of,
    because: "a division leaves all status flags undefined",
  },
  { mnemonics: "bsf bsr", flags: Cf | Pf | Af | Sf | Of, because: "a bit scan defines ZF only" },
  { mnemonics: "daa das", flags: Of, because: "OF is undefined" },
  { mnemonics: "aaa aas", flags: Of | Sf | Zf | Pf, because: "only AF and CF are defined" },
  { mnemonics: "aam aad", flags: Of | Af | Cf, because: "only SF, ZF and PF are defined" },
];

const byMnemonic = new Map<string, number>();
for (const { mnemonics, flags } of UNDEFINED_FLAGS) {
  for (const mnemonic of mnemonics.split(" ")) {
    byMnemonic.set(mnemonic, (byMnemonic.get(mnemonic) ?? 0) | flags);
  }
}

/** The flags that must not be compared after an instruction. */
export const undefinedFlags = (mnemonic: string): number => byMnemonic.get(mnemonic) ?? 0;

/**
 * Whether an instruction leaves its result undefined too: a 16-bit double shift by more than 16
 * (Intel SDM vol. 2, SHLD and SHRD).
 */
export function resultUndefined({ entry, operandSize }: Form, instance: Instance): boolean {
  if (!/^sh[lr]d$/.test(entry.mnemonic) || operandSize !== 16) return false;
  const byImmediate = entry.operands[2]?.kind === "immediate";
  const count = byImmediate
    ? instance.code.at(-1)
    : Number((instance.registers[1] as bigint) & 255n);
  return ((count ?? 0) & 31) > 16;
}
