import type { Feature } from "../isa/features.ts";
import { type OpcodeEntry } from "../isa/opcode-entry.ts";
import { operandSizeOf, SIZE_CLASSES, type Mode, type Vendor } from "../isa/operand-size.ts";
import { OPCODES } from "../isa/opcodes.ts";

/*
 * Everything that the decoder has to know of the opcode table, resolved into typed arrays.
 *
 * `slots[mode << 10 | map << 8 | opcode]` is an entry, -1 for no instruction, or a row: -2 - row. Rows have 64 cells,
 * `prefix column << 4 | register form << 3 | ModRM.reg`; a cell is an entry, -1, or -2 - sub, and `sub * 8 + ModRM.rm` indexes `leaves`.
 * Rows of opcodes without ModRM are marked in `rowHasModrm` and indexed with REX.B in place of the register form.
 */
export interface DispatchTables {
  readonly slots: Int16Array;
  readonly rows: Int16Array;
  readonly rowHasModrm: Uint8Array;
  readonly leaves: Int16Array;
}

/** How immediates are encoded: low four bits of `ENTRY_INFO`. */
export const IMMEDIATE_NONE = 0;
export const IMMEDIATE_BYTE = 1;
export const IMMEDIATE_SIGNED_BYTE = 2;
export const IMMEDIATE_WORD = 3;
export const IMMEDIATE_Z = 4;
export const IMMEDIATE_V = 5;
export const IMMEDIATE_OFFSET = 6;
export const IMMEDIATE_FAR = 7;
export const IMMEDIATE_WORD_BYTE = 8;
export const IMMEDIATE_BYTE_BYTE = 9;

export const INFO_MODRM = 1 << 4;
export const INFO_LOCK = 1 << 5;
export const INFO_OPCODE_REGISTER = 1 << 6;
export const INFO_MOD_IGNORED = 1 << 7;
/** ModRM.reg is not extended by REX.R: an opcode extension, or a register file of eight. */
export const INFO_NARROW_REG = 1 << 8;
/** ModRM.rm as a register is not extended by REX.B. */
export const INFO_NARROW_RM = 1 << 9;
/** VEX, EVEX or XOP follows. */
export const INFO_VECTOR = 1 << 10;
export const INFO_SIZE_CLASS_SHIFT = 12;

function immediateKind(entry: OpcodeEntry): number {
  const codes = entry.operands
    .filter(({ kind }) => ["immediate", "relative", "far-pointer", "moffs"].includes(kind))
    .map(({ code }) => code);
  const kinds: Readonly<Record<string, number>> = {
    "": IMMEDIATE_NONE,
    Ib: IMMEDIATE_BYTE,
    Ibs: IMMEDIATE_SIGNED_BYTE,
    Jb: IMMEDIATE_SIGNED_BYTE,
    Iw: IMMEDIATE_WORD,
    Iz: IMMEDIATE_Z,
    Jz: IMMEDIATE_Z,
    Iv: IMMEDIATE_V,
    Ob: IMMEDIATE_OFFSET,
    Ov: IMMEDIATE_OFFSET,
    Ap: IMMEDIATE_FAR,
    "Iw,Ib": IMMEDIATE_WORD_BYTE,
    "Ib,Ib": IMMEDIATE_BYTE_BYTE,
  };
  const kind = kinds[codes.join(",")];
  if (kind === undefined) throw new Error(`unknown immediates in opcode row: ${entry.text}`);
  return kind;
}

const NARROW_REG_KINDS = new Set(["segment", "mmx"]);
const NARROW_RM_KINDS = new Set(["mmx-rm", "mmx-register", "st"]);
const REG_KINDS = new Set(["reg", "segment", "control", "debug", "xmm", "mmx"]);

function entryInfo(entry: OpcodeEntry): number {
  const { operands } = entry;
  const regOperand = operands.find(({ kind }) => REG_KINDS.has(kind));
  let info = immediateKind(entry);
  if (["vex", "evex", "xop"].includes(entry.mnemonic)) info |= INFO_VECTOR;
  else if (entry.hasModrm) info |= INFO_MODRM;
  if (entry.lock) info |= INFO_LOCK;
  if (entry.opcodeRegister) info |= INFO_OPCODE_REGISTER;
  if (entry.modIgnored) info |= INFO_MOD_IGNORED;
  if (regOperand === undefined || NARROW_REG_KINDS.has(regOperand.kind)) info |= INFO_NARROW_REG;
  if (operands.some(({ kind }) => NARROW_RM_KINDS.has(kind))) info |= INFO_NARROW_RM;
  return info | (SIZE_CLASSES.indexOf(entry.sizeClass) << INFO_SIZE_CLASS_SHIFT);
}

/** What the decoder has to know of each entry: immediate kind, `INFO_*` bits, size class. */
export const ENTRY_INFO = Uint32Array.from(OPCODES, entryInfo);

const MODES: readonly Mode[] = [16, 32, 64];

/** Operand sizes by `size class << 4 | mode << 2 | REX.W << 1 | 66 prefix`, modes numbered 0–2. */
export function operandSizeTable(vendor: Vendor): Uint8Array {
  const table = new Uint8Array(SIZE_CLASSES.length << 4);
  SIZE_CLASSES.forEach((sizeClass, c) => {
    MODES.forEach((mode, m) => {
      for (let bits = 0; bits < 4; bits++)
        table[(c << 4) | (m << 2) | bits] = operandSizeOf(
          sizeClass,
          mode,
          (bits & 1) !== 0,
          (bits & 2) !== 0,
          vendor,
        );
    });
  });
  return table;
}

/** Rows with more constraints override the cells of rows with fewer. */
function specificity(entry: OpcodeEntry): number {
  return (
    (entry.rm >= 0 ? 16 : 0) +
    (entry.prefixes === 15 ? 0 : 8) +
    (entry.regs === 255 ? 0 : 4) +
    (entry.form === "any" ? 0 : 2) +
    (entry.opcodeRegister ? 0 : 1)
  );
}

/** Builds the dispatch tables for the instruction forms of a set of features. */
export function buildDispatch(features: ReadonlySet<Feature>): DispatchTables {
  const slots = new Int16Array(3 << 10).fill(-1);
  const rows: number[] = [];
  const rowHasModrm: number[] = [];
  const leaves: number[] = [];
  const known = new Map<string, number>();

  MODES.forEach((mode, m) => {
    const groups = new Map<number, OpcodeEntry[]>();
    for (const entry of OPCODES) {
      if (!features.has(entry.feature) || !(mode === 64 ? entry.long : entry.legacy)) continue;
      for (let i = 0; i < (entry.opcodeRegister ? 8 : 1); i++) {
        const key = (entry.map << 8) | (entry.opcode + i);
        groups.set(key, [...(groups.get(key) ?? []), entry]);
      }
    }
    for (const [key, group] of groups) {
      const cells = fillRow(group, leaves);
      const first = cells[0] ?? -1;
      const slot = (m << 10) | key;
      if (first >= -1 && cells.every((cell) => cell === first)) {
        slots[slot] = first;
        continue;
      }
      const hasModrm = group.some((entry) => entry.hasModrm);
      const name = `${cells.join()} ${hasModrm}`;
      const row = known.get(name) ?? rowHasModrm.length;
      if (!known.has(name)) {
        known.set(name, row);
        rows.push(...cells);
        rowHasModrm.push(hasModrm ? 1 : 0);
      }
      slots[slot] = -2 - row;
    }
  });
  return {
    slots,
    rows: Int16Array.from(rows),
    rowHasModrm: Uint8Array.from(rowHasModrm),
    leaves: Int16Array.from(leaves),
  };
}

function fillRow(group: readonly OpcodeEntry[], leaves: number[]): number[] {
  const cells = Array.from({ length: 64 }, () => -1);
  for (const entry of group.toSorted((a, b) => specificity(a) - specificity(b))) {
    for (let cell = 0; cell < 64; cell++) {
      const column = cell >> 4;
      const registerForm = (cell & 8) !== 0;
      if ((entry.prefixes & (1 << column)) === 0) continue;
      if ((entry.regs & (1 << (cell & 7))) === 0) continue;
      if (entry.form === (registerForm ? "mem" : "reg")) continue;
      if (entry.withoutRexB && registerForm) continue;
      if (entry.rm < 0) {
        cells[cell] = entry.id;
        continue;
      }
      const current = cells[cell] ?? -1;
      let sub = -2 - current;
      if (current >= -1) {
        sub = leaves.length >> 3;
        for (let i = 0; i < 8; i++) leaves.push(current);
        cells[cell] = -2 - sub;
      }
      leaves[sub * 8 + entry.rm] = entry.id;
    }
  }
  return cells;
}
