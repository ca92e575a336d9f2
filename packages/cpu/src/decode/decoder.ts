import { cpuError } from "../errors.ts";
import { FEATURES, type Feature } from "../isa/features.ts";
import type { Mode, Vendor } from "../isa/operand-size.ts";
import {
  buildDispatch,
  ENTRY_INFO,
  IMMEDIATE_BYTE,
  IMMEDIATE_BYTE_BYTE,
  IMMEDIATE_FAR,
  IMMEDIATE_NONE,
  IMMEDIATE_OFFSET,
  IMMEDIATE_SIGNED_BYTE,
  IMMEDIATE_V,
  IMMEDIATE_WORD,
  IMMEDIATE_WORD_BYTE,
  IMMEDIATE_Z,
  INFO_LOCK,
  INFO_MOD_IGNORED,
  INFO_MODRM,
  INFO_NARROW_REG,
  INFO_NARROW_RM,
  INFO_OPCODE_REGISTER,
  INFO_SIZE_CLASS_SHIFT,
  INFO_VECTOR,
  operandSizeTable,
} from "./dispatch.ts";
import type { DispatchTables } from "./dispatch.ts";
import {
  BASE_RIP,
  Instruction,
  INVALID,
  PREFIX_ADDRESS_SIZE,
  PREFIX_LOCK,
  PREFIX_OPERAND_SIZE,
  PREFIX_REP,
  PREFIX_REPNE,
  PREFIX_REX,
  SEGMENT_DS,
  SEGMENT_SS,
  TOO_LONG,
  TRUNCATED,
} from "./instruction.ts";
import { vectorLayout } from "./vector-prefix.ts";

/** Options of {@link Decoder}. */
export interface DecoderOptions {
  /** The features whose instruction forms exist; others are INVALID. All by default. */
  readonly features?: Iterable<Feature>;
  /**
   * Whose reading of prefixes where processors differ: AMD honours a 66 prefix on near branches in 64-bit mode
   * (16-bit distance, RIP truncated) and has no 64-bit far pointers; Intel the other way round. AMD by default.
   */
  readonly vendor?: Vendor;
}

/** The architecture's limit on the length of an instruction (Intel SDM vol. 2, 2.3.11). */
export const MAX_INSTRUCTION_LENGTH = 15;

/** More than the decoder can look at in one call: 15 prefixes and the longest rest. */
const WINDOW = 48;

// Prefix kinds; segment overrides are SEGMENT + number.
const OPERAND_SIZE = 1;
const ADDRESS_SIZE = 2;
const LOCK = 3;
const REP = 4;
const REPNE = 5;
const REX = 6;
const IGNORED = 7;
const SEGMENT = 8;

/** Prefix kinds by `mode number << 8 | byte`; 0 for a byte that is no prefix. */
const PREFIX_KINDS = new Uint8Array(3 << 8);
for (let mode = 0; mode < 3; mode++) {
  const long = mode === 2;
  const kinds = PREFIX_KINDS.subarray(mode << 8, (mode + 1) << 8);
  kinds[0x66] = OPERAND_SIZE;
  kinds[0x67] = ADDRESS_SIZE;
  kinds[0xf0] = LOCK;
  kinds[0xf3] = REP;
  kinds[0xf2] = REPNE;
  // ES, CS, SS and DS overrides are ignored in 64-bit mode (AMD APM vol. 3, 1.2.4).
  for (let segment = 0; segment < 4; segment++)
    kinds[0x26 + segment * 8] = long ? IGNORED : SEGMENT + segment;
  kinds[0x64] = SEGMENT + 4;
  kinds[0x65] = SEGMENT + 5;
  if (long) kinds.fill(REX, 0x40, 0x50);
}

/** Bases and indexes of 16-bit addressing by ModRM.rm: BX SI, BX DI, BP SI, BP DI, SI, DI, BP, BX. */
const BASE_16 = Int8Array.of(3, 3, 5, 5, 6, 7, 5, 3);
const INDEX_16 = Int8Array.of(6, 7, 6, 7, -1, -1, -1, -1);

const built = new Map<string, DispatchTables>();

/** Every machine of a process has the same tables: building them takes longer than restoring a machine. */
function dispatchFor(features: ReadonlySet<Feature>): DispatchTables {
  const key = FEATURES.filter((feature) => features.has(feature)).join();
  let tables = built.get(key);
  if (tables === undefined) built.set(key, (tables = buildDispatch(features)));
  return tables;
}

/**
 * Decodes x86 instructions of 16-, 32- and 64-bit code into one reusable {@link Instruction}, without
 * allocation: more than ten million a second. It answers for any bytes and never throws.
 */
export class Decoder {
  /** What the latest call of `decode` found. */
  readonly instruction = new Instruction();
  readonly #slots: Int16Array;
  readonly #rows: Int16Array;
  readonly #rowHasModrm: Uint8Array;
  readonly #leaves: Int16Array;
  readonly #operandSizes: Uint8Array;
  readonly #window = new Uint8Array(WINDOW);

  /** @throws QZ_CPU_OPTIONS for a feature or vendor that does not exist */
  constructor(options: DecoderOptions = {}) {
    const { features = FEATURES, vendor = "amd" } = options;
    const offered = new Set(features);
    for (const feature of offered)
      if (!FEATURES.includes(feature))
        throw cpuError("QZ_CPU_OPTIONS", {
          option: "features",
          value: feature,
          expected: `choose from ${FEATURES.join(", ")}`,
        });
    if (vendor !== "amd" && vendor !== "intel")
      throw cpuError("QZ_CPU_OPTIONS", {
        option: "vendor",
        value: String(vendor),
        expected: "amd or intel",
      });
    const tables = dispatchFor(offered);
    this.#slots = tables.slots;
    this.#rows = tables.rows;
    this.#rowHasModrm = tables.rowHasModrm;
    this.#leaves = tables.leaves;
    this.#operandSizes = operandSizeTable(vendor);
  }

  /**
   * Decodes the instruction at `bytes[offset]`.
   *
   * @param limit end of the bytes that may be looked at (exclusive); what lies between it and the end of the
   *   instruction has no influence
   * @returns the entry's index in `OPCODES`, INVALID, TRUNCATED or TOO_LONG; details are in `this.instruction`
   */
  decode(bytes: Uint8Array, offset: number, limit: number, mode: Mode): number {
    // Near the end of the array a zero-padded copy stands in, so that no read below needs a check:
    // an instruction that used padding is found out by its length.
    let code = bytes;
    let start = offset;
    const available = Math.min(limit, bytes.length) - offset;
    if (offset + WINDOW > bytes.length) {
      code = this.#window.fill(0);
      for (let i = 0; i < available && i < WINDOW; i++) code[i] = bytes[offset + i]!;
      start = 0;
    }
    const out = this.instruction;
    out.mode = mode;
    const m = mode >> 5;
    let p = start;
    let prefixes = 0;
    let column = 0;
    let rex = 0;
    let override = -1;
    let b = code[p++]!;
    for (let kind; (kind = PREFIX_KINDS[(m << 8) | b]!) !== 0; b = code[p++]!) {
      if (kind === REX) {
        rex = b;
        if (p - start < MAX_INSTRUCTION_LENGTH) continue;
      }
      // REX counts only right before the opcode.
      rex = 0;
      switch (kind) {
        case OPERAND_SIZE:
          prefixes |= PREFIX_OPERAND_SIZE;
          break;
        case ADDRESS_SIZE:
          prefixes |= PREFIX_ADDRESS_SIZE;
          break;
        case LOCK:
          prefixes |= PREFIX_LOCK;
          break;
        case REP:
          prefixes = (prefixes & ~PREFIX_REPNE) | PREFIX_REP;
          column = 2;
          break;
        case REPNE:
          prefixes = (prefixes & ~PREFIX_REP) | PREFIX_REPNE;
          column = 3;
          break;
        case IGNORED:
          break;
        default:
          override = kind - SEGMENT;
      }
      if (p - start >= MAX_INSTRUCTION_LENGTH) return this.#refuse(p + 1 - start, available);
    }
    const operandSizePrefix = (prefixes & PREFIX_OPERAND_SIZE) !== 0 ? 1 : 0;
    if (column === 0) column = operandSizePrefix;

    let map = 0;
    if (b === 0x0f) {
      b = code[p++]!;
      map = 1 << 8;
      if (b === 0x38) {
        b = code[p++]!;
        map = 2 << 8;
      } else if (b === 0x3a) {
        b = code[p++]!;
        map = 3 << 8;
      }
    }
    out.opcode = b;
    let entry = this.#slots[(m << 10) | map | b]!;
    if (entry < -1) {
      const row = -2 - entry;
      const modrm = code[p]!;
      if (this.#rowHasModrm[row] !== 0) {
        const cell = (column << 4) | (modrm >= 0xc0 ? 8 : 0) | ((modrm >> 3) & 7);
        entry = this.#rows[(row << 6) | cell]!;
        if (entry < -1) entry = this.#leaves[((-2 - entry) << 3) | (modrm & 7)]!;
        if (entry < 0) p++;
      } else entry = this.#rows[(row << 6) | (column << 4) | ((rex & 1) << 3)]!;
    }
    if (entry < 0) return this.#refuse(p - start, available);
    let info = ENTRY_INFO[entry]!;

    if ((info & INFO_VECTOR) !== 0) {
      // The opcode byte is followed by one (C5), two (C4, 8F) or three (62) bytes of payload.
      const first = code[p]!;
      if ((prefixes & ~PREFIX_ADDRESS_SIZE) !== 0 || rex !== 0)
        return this.#refuse(p + 1 - start, available);
      const escape = b;
      const select = escape === 0xc5 ? 1 : first & (escape === 0x62 ? 7 : 31);
      if (escape === 0x62 && ((first & 8) !== 0 || (code[p + 1]! & 4) === 0))
        return this.#refuse(p + 2 - start, available);
      p += escape === 0xc5 ? 1 : escape === 0x62 ? 3 : 2;
      b = code[p++]!;
      out.opcode = b;
      info = vectorLayout(escape, select, b);
      if (info < 0) return this.#refuse(p - start, available);
      if (m === 2) rex = (~first >> 5) & (escape === 0xc5 ? 4 : 7);
    }

    // Operand and address size.
    const sizeIndex = (m << 2) | operandSizePrefix | ((rex >> 2) & 2);
    const operandSize = this.#operandSizes[
      ((info >> INFO_SIZE_CLASS_SHIFT) << 4) | sizeIndex
    ]! as Mode;
    let addressSize = mode;
    if ((prefixes & PREFIX_ADDRESS_SIZE) !== 0) addressSize = mode === 32 ? 16 : 32;

    let segment = SEGMENT_DS;
    let mod = 3;
    let reg = 0;
    let rm = 0;
    let base = -1;
    let index = -1;
    let scale = 0;
    let disp = 0;
    if ((info & INFO_MODRM) !== 0) {
      const modrm = code[p++]!;
      mod = modrm >> 6;
      reg = (modrm >> 3) & 7;
      rm = modrm & 7;
      if ((info & INFO_NARROW_REG) === 0) reg |= (rex & 4) << 1;
      if (mod === 3 || (info & INFO_MOD_IGNORED) !== 0) {
        mod = 3;
        if ((info & INFO_NARROW_RM) === 0) rm |= (rex & 1) << 3;
        // Of the control and debug registers above 7 there is only CR8.
        if ((info & INFO_MOD_IGNORED) !== 0 && reg > 7 && (reg > 8 || (b & 1) !== 0))
          return this.#refuse(p - start, available);
      } else if (addressSize === 16) {
        base = BASE_16[rm]!;
        index = INDEX_16[rm]!;
        if (mod === 0) {
          if (rm === 6) {
            base = -1;
            disp = ((code[p]! | (code[p + 1]! << 8)) << 16) >> 16;
            p += 2;
          }
        } else if (mod === 1) disp = (code[p++]! << 24) >> 24;
        else {
          disp = ((code[p]! | (code[p + 1]! << 8)) << 16) >> 16;
          p += 2;
        }
        if (base === 5) segment = SEGMENT_SS;
      } else {
        let isWide = mod === 2;
        if (rm === 4) {
          const sib = code[p++]!;
          base = sib & 7;
          index = ((sib >> 3) & 7) | ((rex & 2) << 2);
          // No index is encoded as rSP; r12 is an index as any other.
          if (index === 4) index = -1;
          else scale = sib >> 6;
          if (base === 5 && mod === 0) {
            base = -1;
            isWide = true;
          } else base |= (rex & 1) << 3;
        } else if (rm === 5 && mod === 0) {
          base = mode === 64 ? BASE_RIP : -1;
          isWide = true;
        } else base = rm | ((rex & 1) << 3);
        if (mod === 1) disp = (code[p++]! << 24) >> 24;
        else if (isWide) {
          disp = code[p]! | (code[p + 1]! << 8) | (code[p + 2]! << 16) | (code[p + 3]! << 24);
          p += 4;
        }
        if (base === 4 || base === 5) segment = SEGMENT_SS;
      }
    } else if ((info & INFO_OPCODE_REGISTER) !== 0) rm = (b & 7) | ((rex & 1) << 3);
    let immediate = 0;
    let immediateHigh = 0;
    let immediate2 = 0;
    let dispHigh = disp >> 31;
    const immediateKind = info & 15;
    if (immediateKind !== IMMEDIATE_NONE) {
      if (immediateKind === IMMEDIATE_BYTE) immediate = code[p++]!;
      else if (immediateKind === IMMEDIATE_SIGNED_BYTE) {
        immediate = (code[p++]! << 24) >> 24;
        immediateHigh = immediate >> 31;
      } else if (immediateKind === IMMEDIATE_Z || immediateKind === IMMEDIATE_V) {
        immediate = code[p]! | (code[p + 1]! << 8);
        if (operandSize === 16) {
          immediate = (immediate << 16) >> 16;
          p += 2;
        } else {
          immediate |= (code[p + 2]! << 16) | (code[p + 3]! << 24);
          p += 4;
        }
        immediateHigh = immediate >> 31;
        if (immediateKind === IMMEDIATE_V && operandSize === 64) {
          immediateHigh =
            code[p]! | (code[p + 1]! << 8) | (code[p + 2]! << 16) | (code[p + 3]! << 24);
          p += 4;
        }
      } else if (immediateKind === IMMEDIATE_OFFSET) {
        mod = 0;
        dispHigh = 0;
        disp = code[p]! | (code[p + 1]! << 8);
        if (addressSize !== 16) disp |= (code[p + 2]! << 16) | (code[p + 3]! << 24);
        if (addressSize === 64) {
          p += 4;
          dispHigh = code[p]! | (code[p + 1]! << 8) | (code[p + 2]! << 16) | (code[p + 3]! << 24);
        }
        p += addressSize === 16 ? 2 : 4;
      } else {
        immediate = code[p++]!;
        if (immediateKind === IMMEDIATE_BYTE_BYTE) immediate2 = code[p++]!;
        else {
          immediate |= code[p++]! << 8;
          if (immediateKind === IMMEDIATE_WORD_BYTE) immediate2 = code[p++]!;
          else if (immediateKind === IMMEDIATE_FAR) {
            if (operandSize !== 16) {
              immediate |= (code[p]! << 16) | (code[p + 1]! << 24);
              p += 2;
            }
            immediate2 = code[p]! | (code[p + 1]! << 8);
            p += 2;
          } else if (immediateKind !== IMMEDIATE_WORD) return this.#refuse(p - start, available);
        }
      }
    }

    // Refused only once all of its bytes were there: a page fault on them comes first.
    if ((prefixes & PREFIX_LOCK) !== 0 && ((info & INFO_LOCK) === 0 || mod === 3))
      return this.#refuse(p - start, available);
    const length = p - start;
    if (length > available || length > MAX_INSTRUCTION_LENGTH)
      return this.#refuse(length, available);
    out.entry = entry;
    out.length = length;
    out.operandSize = operandSize;
    out.addressSize = addressSize;
    out.prefixes = rex === 0 ? prefixes : prefixes | PREFIX_REX | ((rex & 15) << 8);
    out.segmentOverride = override;
    out.mod = mod;
    out.reg = reg;
    out.rm = rm;
    out.base = base;
    out.index = index;
    out.scale = scale;
    out.disp = disp;
    out.dispHigh = dispHigh;
    out.segment = override >= 0 ? override : segment;
    out.immediate = immediate;
    out.immediateHigh = immediateHigh;
    out.immediate2 = immediate2;
    return entry;
  }

  /** No instruction: what to report depends on whether the bytes looked at were all there. */
  #refuse(length: number, available: number): number {
    const out = this.instruction;
    out.entry = INVALID;
    if (length > MAX_INSTRUCTION_LENGTH && available >= MAX_INSTRUCTION_LENGTH)
      out.entry = TOO_LONG;
    else if (length > available) out.entry = TRUNCATED;
    out.length = Math.min(length, available, MAX_INSTRUCTION_LENGTH);
    return out.entry;
  }
}
