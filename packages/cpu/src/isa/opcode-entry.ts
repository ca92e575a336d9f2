import { FEATURES, type Feature } from "./features.ts";
import { parseOperand, type OperandSpec } from "./operand.ts";
import { SIZE_CLASSES, type SizeClass } from "./operand-size.ts";

/** The opcode maps by number: one byte, 0F, 0F38, 0F3A. */
export type OpcodeMap = 0 | 1 | 2 | 3;

/**
 * Mandatory-prefix columns of the opcode maps, as bits: none, 66, F3, F2. F2 and F3 win over 66; of F2 and
 * F3 the last one counts.
 */
export const PREFIX_NONE = 1;
export const PREFIX_66 = 2;
export const PREFIX_F3 = 4;
export const PREFIX_F2 = 8;
const PREFIX_ANY = 15;

/** One form of an instruction: one row of the opcode table. */
export interface OpcodeEntry {
  /** Dense index into the opcode table. */
  readonly id: number;
  /** The row as written: unique. */
  readonly text: string;
  /** The encoding part of the row, e.g. `0f01 /7 mem`. */
  readonly spec: string;
  /** The first mnemonic; the name of the semantics. */
  readonly mnemonic: string;
  /** Mnemonics by operand size 16, 32, 64 (address size for JCXZ and its like). */
  readonly mnemonics: readonly [string, string, string];
  readonly mnemonicByAddressSize: boolean;
  readonly map: OpcodeMap;
  /** The opcode byte after the map's escape; the first of eight where `opcodeRegister`. */
  readonly opcode: number;
  /** The low three opcode bits name a register. */
  readonly opcodeRegister: boolean;
  /** The condition code 0–15 of Jcc, SETcc and CMOVcc, otherwise -1. */
  readonly condition: number;
  readonly hasModrm: boolean;
  /** Values of ModRM.reg that select this form, as a mask of eight bits. */
  readonly regs: number;
  /** The value of ModRM.rm that selects this form, or -1. */
  readonly rm: number;
  /** Whether ModRM.rm must be memory, a register, or may be both. */
  readonly form: "any" | "mem" | "reg";
  /** ModRM.mod plays no part: always a register (moves to and from control and debug registers). */
  readonly modIgnored: boolean;
  /** Mandatory-prefix columns in which this form stands, as a mask of `PREFIX_*`. */
  readonly prefixes: number;
  /** Only without REX.B (90 is NOP, but 41 90 exchanges r8 and rAX). */
  readonly withoutRexB: boolean;
  readonly operands: readonly OperandSpec[];
  readonly sizeClass: SizeClass;
  /** A LOCK prefix is legal when the destination is memory. */
  readonly lock: boolean;
  /** Exists in 16- and 32-bit code; exists in 64-bit mode. */
  readonly legacy: boolean;
  readonly long: boolean;
  /** #GP unless at privilege level 0 (CLAC and STAC: #UD). */
  readonly cpl0: boolean;
  /** #UD in real and virtual-8086 mode. */
  readonly protectedMode: boolean;
  /** A 16-byte memory operand need not be aligned. */
  readonly unaligned: boolean;
  readonly feature: Feature;
}

/** Whether the x87 executes a form; FISTTP is one although it came with SSE3. */
export function isX87({ feature, mnemonic }: OpcodeEntry): boolean {
  return feature === "fpu" || mnemonic === "fisttp";
}

const ATTRIBUTES = ["lock", "inv64", "only64", "cpl0", "protected", "unaligned", "asize", "anymod"];
const CONDITIONS = "o no b ae e ne be a s ns p np l ge le g".split(" ");
const CONSTRAINT = /^(\/[0-7]+|mem|reg|=[0-9a-f]{2}|np|66|f3|f2|nfx|b0)$/;
const MODRM_KINDS = new Set([
  ..."rm rm-register reg memory segment control debug xmm xmm-rm xmm-register".split(" "),
  ..."mmx mmx-rm mmx-register st".split(" "),
]);
const REGISTER_KINDS = new Set(["rm-register", "xmm-register", "mmx-register", "st"]);

function isFeature(word: string): word is Feature {
  return (FEATURES as readonly string[]).includes(word);
}

function isSizeClass(word: string): word is SizeClass {
  return (SIZE_CLASSES as readonly string[]).includes(word);
}

function inferSizeClass(operands: readonly OperandSpec[], mnemonics: number): SizeClass {
  const widths = operands.flatMap((operand) => [operand.width, operand.registerWidth]);
  if (mnemonics === 3 || widths.some((width) => width === "v" || width === "a")) return "v";
  if (widths.includes("p")) return operands.some((o) => o.kind === "memory") ? "far" : "z";
  if (mnemonics === 2 || widths.includes("y") || widths.includes("u")) return "y";
  if (widths.some((width) => width === "z" || width === "e" || width === "n")) return "z";
  return "fixed";
}

function parseOpcode(word: string): { map: OpcodeMap; opcode: number } {
  const opcode = Number.parseInt(word.slice(-2), 16);
  const escape = word.slice(0, -2);
  const map = ["", "0f", "0f38", "0f3a"].indexOf(escape);
  if (map < 0 || Number.isNaN(opcode)) throw new Error(`unknown opcode ${word}`);
  return { map: map as OpcodeMap, opcode };
}

/**
 * Parses one row of the opcode table:
 * `opcode[+] [constraints] mnemonic[/mnemonic…] operands|- [attributes]`.
 *
 * Constraints: `/0145` values of ModRM.reg, `=c8` a whole ModRM byte, `mem` or `reg`, a mandatory prefix
 * `np` `66` `f3` `f2`, `nfx` (neither F2 nor F3), `b0` (REX.B clear). A row without a prefix constraint takes the
 * columns that no other row claims: there F2 and F3 are ignored or repeat, and 66 changes the operand size.
 */
export function parseEntry(id: number, text: string): OpcodeEntry {
  const words = text.split(/\s+/);
  const opcodeWord = words.shift() ?? "";
  const opcodeRegister = opcodeWord.endsWith("+");
  const { map, opcode } = parseOpcode(opcodeRegister ? opcodeWord.slice(0, -1) : opcodeWord);
  let spec = opcodeWord;
  let regs = 255;
  let rm = -1;
  let form: "any" | "mem" | "reg" = "any";
  let prefixes = 0;
  let withoutRexB = false;
  while (CONSTRAINT.test(words[0] ?? "")) {
    const word = words.shift() ?? "";
    spec += ` ${word}`;
    if (word.startsWith("/")) {
      regs = 0;
      for (const digit of word.slice(1)) regs |= 1 << Number(digit);
    } else if (word.startsWith("=")) {
      const modrm = Number.parseInt(word.slice(1), 16);
      regs = 1 << ((modrm >> 3) & 7);
      rm = modrm & 7;
      form = "reg";
    } else if (word === "mem" || word === "reg") form = word;
    else if (word === "np") prefixes |= PREFIX_NONE;
    else if (word === "66") prefixes |= PREFIX_66;
    else if (word === "f3") prefixes |= PREFIX_F3;
    else if (word === "f2") prefixes |= PREFIX_F2;
    else if (word === "nfx") prefixes |= PREFIX_NONE | PREFIX_66;
    else withoutRexB = true;
  }
  const names = (words.shift() ?? "").split("/");
  const [first = "", second = first, third = second] = names;
  const codes = words.shift() ?? "";
  const operands = codes === "-" ? [] : codes.split(",").map(parseOperand);
  let sizeClass: SizeClass | undefined;
  let feature: Feature = "base";
  for (const word of words) {
    if (isSizeClass(word)) sizeClass = word;
    else if (isFeature(word)) feature = word;
    else if (!ATTRIBUTES.includes(word))
      throw new Error(`unknown attribute in opcode row: ${text}`);
  }
  if (first === "" || codes === "") throw new Error(`incomplete opcode row: ${text}`);
  const modIgnored = words.includes("anymod");
  if (!modIgnored && operands.some((operand) => REGISTER_KINDS.has(operand.kind))) form = "reg";
  if (operands.some((operand) => operand.kind === "memory")) form = "mem";
  const mnemonicByAddressSize = words.includes("asize");
  const suffix = map === 1 ? opcode & 0xf0 : 0;
  const conditional =
    (map === 0 && (opcode & 0xf0) === 0x70) ||
    suffix === 0x40 ||
    suffix === 0x80 ||
    suffix === 0x90;
  return {
    id,
    text,
    spec,
    mnemonic: first,
    mnemonics: names.length === 2 ? [first, first, second] : [first, second, third],
    mnemonicByAddressSize,
    map,
    opcode,
    opcodeRegister,
    condition: conditional ? opcode & 15 : -1,
    hasModrm:
      regs !== 255 || form !== "any" || operands.some((operand) => MODRM_KINDS.has(operand.kind)),
    regs,
    rm,
    form,
    modIgnored,
    prefixes: prefixes === 0 ? PREFIX_ANY : prefixes,
    withoutRexB,
    operands,
    sizeClass: sizeClass ?? inferSizeClass(operands, mnemonicByAddressSize ? 1 : names.length),
    lock: words.includes("lock"),
    legacy: !words.includes("only64"),
    long: !words.includes("inv64"),
    cpl0: words.includes("cpl0"),
    protectedMode: words.includes("protected"),
    unaligned: words.includes("unaligned"),
    feature,
  };
}

/** Expands `70 j%cc Jb` into the sixteen condition codes: opcode plus 0–15, `%cc` its name. */
export function expandConditions(row: string): string[] {
  const [word = "", ...rest] = row.split(" ");
  const { opcode } = parseOpcode(word);
  return CONDITIONS.map((condition, index) => {
    const byte = (opcode + index).toString(16).padStart(2, "0");
    return [word.slice(0, -2) + byte, ...rest].join(" ").replace("%cc", condition);
  });
}
