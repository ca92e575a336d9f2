/**
 * Operand codes in the manner of the opcode-map appendix of the manuals (Intel SDM vol. 2, appendix A):
 * a capital letter says where the operand is, small letters say how large it is.
 */

/** How large an operand is; the letters of the operand codes. */
export type OperandWidth =
  /** 1, 2, 4, 8, 16 bytes */
  | "b"
  | "w"
  | "d"
  | "q"
  | "x"
  /** the operand size */
  | "v"
  /** the operand size, but 4 bytes where it is 64 bits */
  | "z"
  /** 8 bytes where the operand size is 64 bits, otherwise 4 */
  | "y"
  /** 16 bytes where the operand size is 64 bits, otherwise 8 */
  | "u"
  /** a far pointer: a selector and an offset of the operand size */
  | "p"
  /** a descriptor-table register image: 6 bytes, 10 in 64-bit mode */
  | "s"
  /** the two bounds of BOUND: twice the operand size */
  | "a"
  /** an 80-bit x87 value */
  | "t"
  /** an x87 environment: 14 or 28 bytes */
  | "e"
  /** an x87 state: 94 or 108 bytes */
  | "n"
  /** an FXSAVE image: 512 bytes */
  | "f"
  /** a 64-byte block */
  | "c"
  /** no data, or of a length that the instruction finds out itself (LEA, INVLPG, XSAVE …) */
  | "";

/** Where an operand is. */
export type OperandKind =
  /** E: general register or memory, by ModRM.rm */
  | "rm"
  /** R: general register by ModRM.rm */
  | "rm-register"
  /** G: general register by ModRM.reg */
  | "reg"
  /** Z: general register by the low bits of the opcode */
  | "opcode-register"
  /** a general register fixed by the opcode; `register` is its number (AL, CL, DX, rAX …) */
  | "register"
  /** a segment register fixed by the opcode; `register` is its number */
  | "fixed-segment"
  /** M: memory by ModRM.rm */
  | "memory"
  /** O: memory at an absolute offset in the instruction */
  | "moffs"
  /** X: memory at DS:rSI (the segment can be overridden) */
  | "string-source"
  /** Y: memory at ES:rDI */
  | "string-destination"
  /** I */
  | "immediate"
  /** the constant 1 of the shift-by-one forms */
  | "one"
  /** J: signed distance from the end of the instruction */
  | "relative"
  /** A: selector and offset in the instruction */
  | "far-pointer"
  /** S, C, D: segment, control, debug register by ModRM.reg */
  | "segment"
  | "control"
  | "debug"
  /** V, W, U: XMM register by ModRM.reg; XMM register or memory, XMM register, by ModRM.rm */
  | "xmm"
  | "xmm-rm"
  | "xmm-register"
  /** the implied XMM0 of BLENDV */
  | "xmm0"
  /** P, Q, N: MMX register by ModRM.reg; MMX register or memory, MMX register, by ModRM.rm */
  | "mmx"
  | "mmx-rm"
  | "mmx-register"
  /** ST(0), and ST(i) by ModRM.rm */
  | "st0"
  | "st";

/** One operand of an instruction form. */
export interface OperandSpec {
  /** The code as written in the opcode table, e.g. `Ev`. */
  readonly code: string;
  readonly kind: OperandKind;
  /** The width in memory and, unless `registerWidth` differs, in a register. */
  readonly width: OperandWidth;
  /** The width where the operand is a register. */
  readonly registerWidth: OperandWidth;
  /** For immediates: sign-extended from its encoded width to the operand size. */
  readonly signed: boolean;
  /** The number of a fixed register, otherwise -1. */
  readonly register: number;
}

const KINDS: Readonly<Record<string, OperandKind>> = {
  E: "rm",
  R: "rm-register",
  G: "reg",
  Z: "opcode-register",
  M: "memory",
  O: "moffs",
  X: "string-source",
  Y: "string-destination",
  I: "immediate",
  J: "relative",
  A: "far-pointer",
  S: "segment",
  C: "control",
  D: "debug",
  V: "xmm",
  W: "xmm-rm",
  U: "xmm-register",
  P: "mmx",
  Q: "mmx-rm",
  N: "mmx-register",
};

/** Width names that the vector columns of the manuals use, in terms of the plain ones. */
const VECTOR_WIDTHS: Readonly<Record<string, OperandWidth>> = {
  ps: "x",
  pd: "x",
  dq: "x",
  ss: "d",
  sd: "q",
};

const FIXED: Readonly<Record<string, readonly [OperandKind, OperandWidth, number]>> = {
  AL: ["register", "b", 0],
  CL: ["register", "b", 1],
  AX: ["register", "w", 0],
  DX: ["register", "w", 2],
  EAX: ["register", "d", 0],
  rAX: ["register", "v", 0],
  zAX: ["register", "z", 0],
  ES: ["fixed-segment", "w", 0],
  CS: ["fixed-segment", "w", 1],
  SS: ["fixed-segment", "w", 2],
  DS: ["fixed-segment", "w", 3],
  FS: ["fixed-segment", "w", 4],
  GS: ["fixed-segment", "w", 5],
  XMM0: ["xmm0", "x", 0],
  ST: ["st0", "t", 0],
  STi: ["st", "t", -1],
  "1": ["one", "b", -1],
};

const WIDTHS = "bwdqxvzyupsatenfc";

function parseWidth(text: string, code: string): OperandWidth {
  const width = VECTOR_WIDTHS[text] ?? text;
  if (width.length > 1 || !WIDTHS.includes(width)) throw new Error(`unknown operand code ${code}`);
  return width as OperandWidth;
}

/** Parses an operand code of the opcode table: `Ev`, `Ibs`, `rAX`, `Mw/Rv` (memory word, or register of the operand size). */
export function parseOperand(code: string): OperandSpec {
  const fixed = FIXED[code];
  if (fixed !== undefined) {
    const [kind, width, register] = fixed;
    return { code, kind, width, registerWidth: width, signed: false, register };
  }
  const pair = /^M(\w+)\/R(\w)$/.exec(code);
  if (pair !== null) {
    const [, memory = "", register = ""] = pair;
    const width = parseWidth(memory, code);
    const registerWidth = parseWidth(register, code);
    return { code, kind: "rm", width, registerWidth, signed: false, register: -1 };
  }
  const kind = KINDS[code.slice(0, 1)];
  if (kind === undefined) throw new Error(`unknown operand code ${code}`);
  const signed = code === "Ibs";
  const width = parseWidth(signed ? "b" : code.slice(1), code);
  return { code, kind, width, registerWidth: width, signed, register: -1 };
}

/**
 * The bytes that an operand of a width takes. XSAVE areas, LEA and INVLPG operands answer 0: nothing, or a
 * length that only execution knows.
 */
export function widthBytes(
  width: OperandWidth,
  operandSize: 16 | 32 | 64,
  mode: 16 | 32 | 64,
): number {
  switch (width) {
    case "b":
      return 1;
    case "w":
      return 2;
    case "d":
      return 4;
    case "q":
      return 8;
    case "x":
      return 16;
    case "v":
      return operandSize >> 3;
    case "z":
      return operandSize === 16 ? 2 : 4;
    case "y":
      return operandSize === 64 ? 8 : 4;
    case "u":
      return operandSize === 64 ? 16 : 8;
    case "p":
      return 2 + (operandSize >> 3);
    case "s":
      return mode === 64 ? 10 : 6;
    case "a":
      return operandSize >> 2;
    case "t":
      return 10;
    case "e":
      return operandSize === 16 ? 14 : 28;
    case "n":
      return operandSize === 16 ? 94 : 108;
    case "f":
      return 512;
    case "c":
      return 64;
    case "":
      return 0;
  }
}
