import {
  BASE_RIP,
  PREFIX_LOCK,
  PREFIX_REP,
  PREFIX_REPNE,
  PREFIX_REX,
  SEGMENT_FS,
} from "../decode/instruction.ts";
import type { Instruction } from "../decode/instruction.ts";
import { memoryBytes } from "../interpreter/enumerate.ts";
import { Handler } from "../interpreter/handlers.ts";
import { semanticsName, shapeOf } from "../interpreter/shapes.ts";
import { isX87 } from "../isa/opcode-entry.ts";
import type { OpcodeEntry } from "../isa/opcode-entry.ts";
import { OPCODES } from "../isa/opcodes.ts";
import { descriptions } from "../semantics/descriptions.ts";
import { Register, Segment, SegmentField, State } from "../state/layout.ts";
import { Record, SIZES_LOCK, SIZES_MEMORY, SIZES_REP, SIZES_REPNE } from "../state/record.ts";

/** Entry numbers in records that stand for no row of the opcode table. */
export const PseudoEntry = {
  InvalidOpcode: 0xffff,
  TooLong: 0xfffe,
  /** The instruction goes on in the next page. */
  Straddle: 0xfffd,
  NoDevice: 0xfffc,
} as const;

/** Which instruction sets the control registers refuse, as part of a decode mode. */
export interface UnitState {
  /** x87 and MMX, SSE: 0 usable, else the pseudo entry that raises the exception. */
  readonly x87: number;
  readonly mmx: number;
  readonly sse: number;
}

/** Where the fields of one operand of an entry come from. */
const Source = {
  None: 0,
  ModrmReg: 1,
  ModrmRm: 2,
  Fixed: 3,
} as const;

/** An entry of the opcode table, reduced to what lowering asks of it. */
interface Plan {
  readonly entry: OpcodeEntry;
  readonly name: string;
  readonly described: boolean;
  readonly branches: boolean;
  readonly string: boolean;
  readonly usesAddress: boolean;
  readonly offsetOnly: boolean;
  readonly writesMemory: boolean;
  readonly unit: "x87" | "mmx" | "sse" | undefined;
  readonly sources: readonly number[];
  /** log2 of the byte distance between registers of the operand's file; −1 for raw numbers. */
  readonly scales: readonly number[];
  readonly byteRegister: readonly boolean[];
  readonly fixed: readonly number[];
  readonly moffs: boolean;
  readonly one: boolean;
  readonly handlers: Int32Array;
}

/** Memory operands that are only read although they come first. */
const READ_ONLY = new Set(
  "cmp test bt push call call-far jmp jmp-far mul imul div idiv ldmxcsr fxrstor xrstor xrstors lgdt lidt lldt ltr lmsw verr verw invlpg clflush clflushopt clwb".split(
    " ",
  ),
);
/** x87 instructions that only read their memory operand. */
const READS_X87 = /^f(ld|add|sub|mul|div|com|iadd|isub|imul|idiv|icom|ild|bld|rstor)/;
const NO_ADDRESS = /^(nop|prefetch\w*|endbr\d+|ud[01])$/;

function unitOf(entry: OpcodeEntry): Plan["unit"] {
  if (isX87(entry)) return entry.mnemonic === "fwait" ? undefined : "x87";
  if (/^(ldmxcsr|stmxcsr)$/.test(entry.mnemonic)) return "sse";
  const kinds = entry.operands.map(({ kind }) => kind);
  if (kinds.some((kind) => kind.startsWith("xmm"))) return "sse";
  if (kinds.some((kind) => kind.startsWith("mmx")) || entry.mnemonic === "emms") return "mmx";
  return undefined;
}

function planOf(entry: OpcodeEntry): Plan {
  const name = semanticsName(entry);
  const description = descriptions[name];
  const { operands } = entry;
  const source = (kind: string): number => {
    if (/^(reg|segment|control|debug|xmm|mmx)$/.test(kind)) return Source.ModrmReg;
    if (/(rm|-register|^st)$/.test(kind) || kind === "opcode-register") return Source.ModrmRm;
    return /^(register|fixed-segment|xmm0|st0)$/.test(kind) ? Source.Fixed : Source.None;
  };
  const scale = (kind: string): number => {
    if (/^(xmm|mmx)/.test(kind)) return 4;
    return /^(segment|fixed-segment|control|debug|st)/.test(kind) ? -1 : 3;
  };
  const memoryKinds = /^(rm|memory|moffs|xmm-rm|mmx-rm)$/;
  return {
    entry,
    name,
    described: description !== undefined,
    branches: operands.some(({ kind }) => kind === "relative"),
    string: description?.string === true,
    usesAddress: operands.some(({ kind }) => memoryKinds.test(kind)) && !NO_ADDRESS.test(name),
    // Bit tests add the distance of the bit to the offset first.
    offsetOnly:
      entry.mnemonic === "lea" ||
      (/^bt[crs]?$/.test(entry.mnemonic) && operands[1]?.kind === "reg"),
    writesMemory:
      memoryKinds.test(operands[0]?.kind ?? "") && !READ_ONLY.has(name) && !READS_X87.test(name),
    unit: unitOf(entry),
    sources: operands.map(({ kind }) => (kind === "moffs" ? Source.None : source(kind))),
    scales: operands.map(({ kind }) => scale(kind)),
    byteRegister: operands.map(({ registerWidth }) => registerWidth === "b"),
    fixed: operands.map(({ register }) => Math.max(0, register)),
    moffs: operands.some(({ kind }) => kind === "moffs"),
    one: operands.some(({ kind }) => kind === "one"),
    handlers: new Int32Array(3 * 2 * 2 * 2 * 9).fill(-1),
  };
}

/** Turns decoded instructions into micro-op records. */
export class Lowering {
  readonly #view: DataView;
  readonly #handlers: ReadonlyMap<string, number>;
  readonly #plans: (Plan | undefined)[] = Array.from({ length: OPCODES.length });

  constructor(memory: DataView, handlers: ReadonlyMap<string, number>) {
    this.#view = memory;
    this.#handlers = handlers;
  }

  /**
   * Writes the records of one instruction at `at` and returns the offset behind them.
   * @param inPage offset of the instruction in its page; @param linkable whether branches inside the page may
   * be linked to their target.
   */
  lower(
    instruction: Instruction,
    at: number,
    inPage: number,
    linkable: boolean,
    units: UnitState,
  ): number {
    const plan = this.#plan(instruction.entry);
    const blocked = plan.unit === undefined ? 0 : units[plan.unit];
    if (blocked !== 0) return this.pseudo(blocked, at, inPage, instruction.length);
    let next = at;
    if (plan.usesAddress && instruction.mod !== 3) {
      this.#fields(instruction, plan, next, inPage);
      this.#view.setUint16(
        next + Record.Handler,
        this.#address(instruction, plan, next, inPage),
        true,
      );
      next += Record.Length;
    }
    this.#fields(instruction, plan, next, inPage);
    const near = plan.branches && this.#target(instruction, next, inPage) && linkable;
    this.#view.setUint16(next + Record.Handler, this.#handler(instruction, plan, near), true);
    return next + Record.Length;
  }

  /** Writes a record that has the helper of a pseudo entry called. */
  pseudo(entry: number, at: number, inPage: number, length: number): number {
    this.#clear(at, inPage, length, entry);
    this.#view.setUint16(at + Record.Handler, Handler.Help, true);
    return at + Record.Length;
  }

  /** Writes a record after which the next instruction is looked up, or a block that is known already entered. */
  continue(at: number, inPage: number, record = 0): number {
    this.#clear(at, inPage, 0, PseudoEntry.InvalidOpcode);
    this.#view.setUint16(at + Record.Handler, Handler.Continue, true);
    this.#view.setUint32(at + Record.Link, record, true);
    return at + Record.Length;
  }

  #plan(entry: number): Plan {
    return (this.#plans[entry] ??= planOf(OPCODES[entry] as OpcodeEntry));
  }

  #clear(at: number, inPage: number, length: number, entry: number): void {
    const view = this.#view;
    for (let i = 0; i < Record.Length; i += 4) view.setUint32(at + i, 0, true);
    view.setUint16(at + Record.Offset, inPage, true);
    view.setUint8(at + Record.InstructionLength, length);
    view.setUint16(at + Record.Entry, entry, true);
  }

  #fields(i: Instruction, plan: Plan, at: number, inPage: number): void {
    const view = this.#view;
    this.#clear(at, inPage, i.length, i.entry);
    const { sources, scales } = plan;
    for (let operand = 0; operand < sources.length && operand < 3; operand++) {
      const source = sources[operand];
      if (source === Source.None || (source === Source.ModrmRm && i.mod !== 3)) continue;
      let number =
        source === Source.Fixed
          ? (plan.fixed[operand] as number)
          : source === Source.ModrmReg
            ? i.reg
            : i.rm;
      const scale = scales[operand] as number;
      if (scale === 4 && !plan.entry.operands[operand]?.kind.startsWith("xmm")) number &= 7;
      if (scale >= 0) {
        const high =
          scale === 3 &&
          plan.byteRegister[operand] === true &&
          source !== Source.Fixed &&
          number >= 4 &&
          number < 8 &&
          (i.prefixes & PREFIX_REX) === 0;
        number = high ? ((number - 4) << 3) + 1 : number << scale;
      }
      view.setUint8(at + Record.A + operand, number);
    }
    view.setUint8(at + Record.Base, i.base >= 0 && i.base < BASE_RIP ? i.base << 3 : State.Zero);
    view.setUint8(at + Record.Index, i.index >= 0 ? i.index << 3 : State.Zero);
    view.setUint8(at + Record.Scale, i.scale);
    view.setInt32(at + Record.Displacement, i.disp, true);
    view.setInt32(at + Record.Immediate, plan.one ? 1 : i.immediate, true);
    view.setInt32(at + Record.Immediate + 4, plan.one ? 0 : i.immediateHigh, true);
    // x87 instructions want opcode and ModRM byte, which make up the last-opcode register.
    const modrm = (i.mod << 6) | ((i.reg & 7) << 3) | (i.rm & 7);
    const opcode = ((plan.entry.opcode & 7) << 8) | modrm;
    view.setUint32(at + Record.Link, plan.unit === "x87" ? opcode : i.immediate2, true);
    const repeat =
      (i.prefixes & PREFIX_REP ? SIZES_REP : 0) |
      (i.prefixes & PREFIX_REPNE ? SIZES_REPNE : 0) |
      (i.prefixes & PREFIX_LOCK ? SIZES_LOCK : 0) |
      (i.mod !== 3 ? SIZES_MEMORY : 0);
    view.setUint8(
      at + Record.Sizes,
      sizeCode(i.operandSize) | (sizeCode(i.addressSize) << 2) | repeat,
    );
    view.setUint8(at + Record.Segment, this.#segment(i) * SegmentField.Length);
  }

  /** The segment whose base and limits count. */
  #segment(i: Instruction): number {
    if (i.mode !== 64) return i.segment;
    const segment = i.segmentOverride >= 0 ? i.segmentOverride : i.segment;
    return segment >= SEGMENT_FS ? segment : Segment.Null;
  }

  /** Fills the address fields that depend on the address's form and returns its handler. */
  #address(i: Instruction, plan: Plan, at: number, inPage: number): number {
    const view = this.#view;
    const bytes = Math.min(128, memoryBytes(plan.entry, i.operandSize, i.mode));
    view.setUint8(at + Record.Access, (bytes - 1) | (plan.writesMemory ? 0x80 : 0));
    // POP computes its operand's address with the stack pointer already moved.
    if (plan.name === "pop" && i.base === Register.Rsp) {
      view.setInt32(at + Record.Displacement, i.disp + i.operandSize / 8, true);
    }
    if (i.base === BASE_RIP) {
      view.setInt32(at + Record.Displacement, i.disp + inPage + i.length, true);
    }
    if (i.mode !== 64) {
      if (plan.offsetOnly) return i.addressSize === 16 ? Handler.Offset16 : Handler.Address32;
      return i.addressSize === 16 ? Handler.AddressLegacy16 : Handler.AddressLegacy32;
    }
    const segmented = !plan.offsetOnly && this.#segment(i) !== Segment.Null;
    if (!segmented) view.setUint8(at + Record.Segment, Segment.Null * SegmentField.Length);
    if (plan.moffs) {
      view.setInt32(at + Record.Immediate, i.disp, true);
      view.setInt32(at + Record.Immediate + 4, i.addressSize === 64 ? i.dispHigh : 0, true);
      return Handler.AddressAbsolute;
    }
    if (i.base === BASE_RIP) {
      if (i.addressSize === 32) return Handler.AddressRip32;
      return segmented ? Handler.AddressRipSegment : Handler.AddressRip;
    }
    if (i.addressSize === 32) return segmented ? Handler.Address32Segment : Handler.Address32;
    if (segmented) return Handler.AddressSegment;
    return i.index >= 0 ? Handler.AddressIndex : Handler.AddressBase;
  }

  /** Writes a relative branch's target, from the page's start; whether it lies in this page. */
  #target(i: Instruction, at: number, inPage: number): boolean {
    const target = inPage + i.length + i.immediate;
    this.#view.setInt32(at + Record.Immediate, target | 0, true);
    this.#view.setInt32(at + Record.Immediate + 4, target < 0 ? -1 : 0, true);
    this.#view.setUint32(at + Record.Link, 0, true);
    return target >= 0 && target < 4096 && i.operandSize !== 16;
  }

  #handler(i: Instruction, plan: Plan, near: boolean): number {
    if (!plan.described) return Handler.Help;
    const memory = i.mod !== 3;
    const repeat = !plan.string
      ? 0
      : i.prefixes & PREFIX_REP
        ? 1
        : i.prefixes & PREFIX_REPNE
          ? 2
          : 0;
    const address = plan.string ? sizeCode(i.addressSize) - 1 : 0;
    const slot =
      ((((sizeCode(i.operandSize) - 1) * 2 + (memory ? 1 : 0)) * 2 + (i.mode === 64 ? 1 : 0)) * 2 +
        (near ? 1 : 0)) *
        9 +
      address * 3 +
      repeat;
    const known = plan.handlers[slot] as number;
    if (known >= 0) return known;
    const description = descriptions[plan.name];
    if (description === undefined) throw new Error(`${plan.name} is not described`);
    const shape = shapeOf({
      entry: plan.entry,
      description,
      size: i.operandSize,
      addressSize: i.addressSize,
      mode: i.mode,
      memory,
      near,
      repeat: (["", "rep", "repne"] as const)[repeat],
    });
    const handler = this.#handlers.get(shape.key);
    if (handler === undefined) throw new Error(`no handler for ${shape.key} (${plan.entry.text})`);
    plan.handlers[slot] = handler;
    return handler;
  }
}

/** log2 of a size in bits as bytes: 16 → 1, 32 → 2, 64 → 3. */
function sizeCode(bits: 16 | 32 | 64): number {
  return bits === 64 ? 3 : bits === 32 ? 2 : 1;
}
