/** The memory operands of D8–DF by opcode and ModRM.reg. */

/** How an instruction uses its memory operand. */
export interface X87Operand {
  readonly access: "load" | "store";
  /** Bytes with a 32-bit (or 64-bit) operand size. */
  readonly size: number;
  /** Bytes with a 16-bit operand size, where that differs: environments and state images. */
  readonly size16?: number;
  readonly mnemonic: string;
}

const load = (mnemonic: string, size: number, size16?: number): X87Operand =>
  size16 === undefined
    ? { access: "load", size, mnemonic }
    : { access: "load", size, size16, mnemonic };
const store = (mnemonic: string, size: number, size16?: number): X87Operand =>
  size16 === undefined
    ? { access: "store", size, mnemonic }
    : { access: "store", size, size16, mnemonic };

const ARITHMETIC = ["add", "mul", "com", "comp", "sub", "subr", "div", "divr"];

/** Sixty-four entries, `8 * opcode + reg` with opcode 0 for D8; undefined is #UD. Intel SDM vol. 2, appendix A.5. */
export const X87_OPERANDS: readonly (X87Operand | undefined)[] = [
  ...ARITHMETIC.map((name) => load(`f${name}`, 4)),
  load("fld", 4),
  undefined,
  store("fst", 4),
  store("fstp", 4),
  load("fldenv", 28, 14),
  load("fldcw", 2),
  store("fnstenv", 28, 14),
  store("fnstcw", 2),
  ...ARITHMETIC.map((name) => load(`fi${name}`, 4)),
  load("fild", 4),
  store("fisttp", 4),
  store("fist", 4),
  store("fistp", 4),
  undefined,
  load("fld", 10),
  undefined,
  store("fstp", 10),
  ...ARITHMETIC.map((name) => load(`f${name}`, 8)),
  load("fld", 8),
  store("fisttp", 8),
  store("fst", 8),
  store("fstp", 8),
  load("frstor", 108, 94),
  undefined,
  store("fnsave", 108, 94),
  store("fnstsw", 2),
  ...ARITHMETIC.map((name) => load(`fi${name}`, 2)),
  load("fild", 2),
  store("fisttp", 2),
  store("fist", 2),
  store("fistp", 2),
  load("fbld", 10),
  load("fild", 8),
  store("fbstp", 10),
  store("fistp", 8),
];

/** The memory operand of an instruction whose ModRM names memory, or undefined for #UD. `opcode` is 0 for D8 … 7 for DF. */
export function x87Operand(opcode: number, modrm: number): X87Operand | undefined {
  return X87_OPERANDS[((opcode & 7) << 3) | ((modrm >> 3) & 7)];
}
