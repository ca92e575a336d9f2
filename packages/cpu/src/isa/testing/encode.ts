import type { OpcodeEntry } from "../opcode-entry.ts";
import { PREFIX_66, PREFIX_F2, PREFIX_F3, PREFIX_NONE } from "../opcode-entry.ts";
import { operandSizeOf, operandSizesOf, type Mode, type Vendor } from "../operand-size.ts";
import {
  encodeMemory,
  randomMemory,
  type EncodedMemory,
  type MemoryOperand,
} from "./encode-memory.ts";

/** What an instance of an instruction form shall be; whatever is left out is chosen at random. */
export interface EncodeRequest {
  readonly mode: Mode;
  readonly vendor?: Vendor;
  /** One of {@link operandSizes}. */
  readonly operandSize?: 16 | 32 | 64;
  /** The mode's own by default. */
  readonly addressSize?: Mode;
  /** Where ModRM.rm may be both. */
  readonly form?: "reg" | "mem";
  /** Register by ModRM.reg. */
  readonly reg?: number;
  /** Register by ModRM.rm or the opcode. */
  readonly rm?: number;
  readonly memory?: MemoryOperand;
  /** Absolute offset of the moffs forms. */
  readonly offset?: bigint;
  /** Immediate, relative distance or far offset; cut to its encoded width. */
  readonly immediate?: bigint;
  /** ENTER's nesting level, a far pointer's selector, the second of EXTRQ and INSERTQ. */
  readonly immediate2?: number;
  /** Emit a REX prefix even where none is needed: byte registers 4–7 become SPL BPL SIL DIL. 64-bit mode only. */
  readonly rex?: boolean;
  readonly lock?: boolean;
  readonly repeat?: "rep" | "repne";
  /** Segment override 0–5. */
  readonly segment?: number;
}

/** An encoded instance and the choices in it. */
export interface EncodedInstruction {
  readonly bytes: Uint8Array;
  readonly operandSize: 16 | 32 | 64;
  readonly addressSize: Mode;
  /** `none` where there is no ModRM byte. */
  readonly form: "reg" | "mem" | "none";
  readonly reg: number;
  readonly rm: number;
  readonly memory: MemoryOperand | undefined;
  readonly offset: bigint;
  /** As the decoder extends it, as an unsigned 64-bit number. */
  readonly immediate: bigint;
  readonly immediate2: number;
}

/** VEX, EVEX, XOP: one instance each, on registers, stands for all. */
function isVectorFrame(entry: OpcodeEntry): boolean {
  return ["vex", "evex", "xop"].includes(entry.mnemonic);
}

/** The operand sizes in which a form exists in a mode, ascending; none where the mode lacks the form. */
export function operandSizes(
  entry: OpcodeEntry,
  mode: Mode,
  vendor: Vendor = "amd",
): (16 | 32 | 64)[] {
  if (!(mode === 64 ? entry.long : entry.legacy)) return [];
  return operandSizesOf(entry.sizeClass, mode, vendor).filter((size) => {
    const prefixes = sizePrefixes(entry, mode, size, vendor);
    return prefixes !== undefined;
  });
}

/** The ways in which ModRM.rm of a form may be encoded. */
export function encodableForms(entry: OpcodeEntry): ("reg" | "mem" | "none")[] {
  if (!entry.hasModrm || isVectorFrame(entry)) return ["none"];
  if (entry.modIgnored) return ["reg"];
  return entry.form === "any" ? ["reg", "mem"] : [entry.form];
}

interface SizePrefixes {
  readonly prefix66: boolean;
  readonly rexW: boolean;
}

/** The 66 prefix and REX.W that yield an operand size, mandatory prefix columns respected. */
function sizePrefixes(
  entry: OpcodeEntry,
  mode: Mode,
  size: 16 | 32 | 64,
  vendor: Vendor,
): SizePrefixes | undefined {
  // Under F2 and F3 a 66 prefix has no column of its own and is free to choose the size.
  const repeated = (entry.prefixes & (PREFIX_NONE | PREFIX_66)) === 0;
  const choices = [false, true].filter(
    (prefix66) => repeated || (entry.prefixes & (prefix66 ? PREFIX_66 : PREFIX_NONE)) !== 0,
  );
  for (const rexW of mode === 64 ? [false, true] : [false])
    for (const prefix66 of choices)
      if (operandSizeOf(entry.sizeClass, mode, prefix66, rexW, vendor) === size)
        return { prefix66, rexW };
  return undefined;
}

const EIGHT_REGISTERS = new Set(["segment", "mmx", "debug"]);
const REG_KINDS = new Set(["reg", "segment", "control", "debug", "xmm", "mmx"]);
const EIGHT_BY_RM = new Set(["mmx-rm", "mmx-register", "st"]);

function littleEndian(value: bigint, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
}

/** Edge cases as often as anything else. */
function randomImmediate(random: () => number): bigint {
  const wide = (BigInt(random()) << 32n) | BigInt(random());
  switch (random() % 6) {
    case 0:
      return BigInt(random() % 3);
    case 1:
      return -1n - BigInt(random() % 3);
    case 2:
      return 1n << BigInt(random() % 64);
    case 3:
      return BigInt.asIntN(8, wide);
    default:
      return wide;
  }
}

interface EncodedImmediates {
  readonly bytes: readonly number[];
  readonly immediate: bigint;
  readonly immediate2: number;
}

function encodeImmediates(
  entry: OpcodeEntry,
  operandSize: 16 | 32 | 64,
  request: EncodeRequest,
  random: () => number,
): EncodedImmediates {
  const value = request.immediate ?? randomImmediate(random);
  const second = request.immediate2 ?? random();
  const bytes: number[] = [];
  let immediate: bigint | undefined;
  let immediate2 = 0;
  for (const { kind, width, signed } of entry.operands) {
    if (kind === "far-pointer") {
      const offset = operandSize === 16 ? 2 : 4;
      immediate2 = second & 0xffff;
      bytes.push(...littleEndian(value, offset), ...littleEndian(BigInt(immediate2), 2));
      immediate = offset === 2 ? BigInt.asUintN(16, value) : BigInt.asUintN(32, value);
    } else if (kind === "immediate" || kind === "relative") {
      const size = { b: 1, w: 2, v: operandSize >> 3 }[width as string];
      const length = size ?? (operandSize === 16 ? 2 : 4);
      if (immediate !== undefined) {
        immediate2 = second & 0xff;
        bytes.push(immediate2);
        continue;
      }
      bytes.push(...littleEndian(value, length));
      const extended = kind === "relative" || signed || (width !== "b" && width !== "w");
      immediate = extended
        ? BigInt.asUintN(64, BigInt.asIntN(8 * length, value))
        : BigInt.asUintN(8 * length, value);
    }
  }
  return { bytes, immediate: immediate ?? 0n, immediate2 };
}

/** The bytes between VEX, EVEX or XOP and ModRM of a vector instruction that exists: ADDPS, VPROTB. */
const VECTOR_PAYLOADS: Readonly<Record<string, readonly number[]>> = {
  c4: [0xe1, 0x78, 0x58],
  c5: [0xf8, 0x58],
  "62": [0xf1, 0x7c, 0x48, 0x58],
  "8f": [0xe9, 0x78, 0x90],
};

function opcodeBytes(entry: OpcodeEntry, opcode: number): number[] {
  return [...([[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]][entry.map] ?? []), opcode];
}

function pickReg(entry: OpcodeEntry, mode: Mode, random: () => number): number {
  const operand = entry.operands.find(({ kind }) => REG_KINDS.has(kind));
  const allowed = [0, 1, 2, 3, 4, 5, 6, 7].filter((reg) => (entry.regs & (1 << reg)) !== 0);
  const low = allowed[random() % allowed.length] ?? 0;
  if (operand === undefined || mode !== 64 || EIGHT_REGISTERS.has(operand.kind)) return low;
  // Of the control registers above 7 there is only CR8.
  if (operand.kind === "control") return low === 0 && random() % 2 === 0 ? 8 : low;
  return low | (random() & 8);
}

function pickRm(entry: OpcodeEntry, mode: Mode, random: () => number): number {
  if (entry.rm >= 0) return entry.rm;
  const narrow = mode !== 64 || entry.operands.some(({ kind }) => EIGHT_BY_RM.has(kind));
  const named = entry.opcodeRegister || entry.operands.length > 0;
  const rm = random() % (narrow || !named ? 8 : 16);
  // 90 itself is NOP.
  return entry.opcodeRegister && entry.opcode === 0x90 && rm === 0 ? 1 : rm;
}

/**
 * Encodes an instance of an instruction form.
 *
 * @param random yields unsigned 32-bit numbers; the same numbers give the same instance
 * @throws RangeError where the form does not exist as requested
 */
export function encode(
  entry: OpcodeEntry,
  request: EncodeRequest,
  random: () => number,
): EncodedInstruction {
  const { mode, vendor = "amd", addressSize = mode } = request;
  const sizes = operandSizes(entry, mode, vendor);
  const operandSize = request.operandSize ?? sizes[random() % sizes.length];
  const forms = encodableForms(entry);
  const wanted = request.form ?? (request.memory === undefined ? undefined : "mem");
  const form = wanted ?? forms[random() % forms.length] ?? "none";
  const size =
    operandSize === undefined ? undefined : sizePrefixes(entry, mode, operandSize, vendor);
  if (operandSize === undefined || size === undefined || !forms.includes(form))
    throw new RangeError(`${entry.text}: not in ${mode}-bit code, ${operandSize}-bit, ${form}`);

  const reg = request.reg ?? (entry.hasModrm ? pickReg(entry, mode, random) : 0);
  const register = form === "reg" || entry.opcodeRegister;
  const rm = register ? (request.rm ?? pickRm(entry, mode, random)) : 0;
  let memory: MemoryOperand | undefined;
  let encodedMemory: EncodedMemory | undefined;
  if (form === "mem") {
    memory = request.memory ?? randomMemory(random, addressSize, mode);
    encodedMemory = encodeMemory(memory, addressSize, mode);
  }

  const prefixes: number[] = [];
  if (request.segment !== undefined)
    prefixes.push([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65][request.segment] ?? 0x3e);
  if (addressSize !== mode) prefixes.push(0x67);
  if (request.lock === true) prefixes.push(0xf0);
  if (request.repeat !== undefined) prefixes.push(request.repeat === "rep" ? 0xf3 : 0xf2);
  if (size.prefix66) prefixes.push(0x66);
  if (entry.prefixes === PREFIX_F3) prefixes.push(0xf3);
  if (entry.prefixes === PREFIX_F2) prefixes.push(0xf2);

  const rexB = encodedMemory?.rexB ?? rm >= 8;
  const rexBits =
    (size.rexW ? 8 : 0) |
    (reg >= 8 ? 4 : 0) |
    (encodedMemory?.rexX === true ? 2 : 0) |
    (rexB ? 1 : 0);
  const vector = VECTOR_PAYLOADS[entry.opcode.toString(16)];
  const isVector = vector !== undefined && isVectorFrame(entry);
  const rex = mode === 64 && !isVector && (rexBits !== 0 || request.rex === true);
  if (rexBits !== 0 && mode !== 64) throw new RangeError(`${entry.text}: register above 7`);

  const opcode = entry.opcode + (entry.opcodeRegister ? rm & 7 : 0);
  const bytes = [...prefixes, ...(rex ? [0x40 | rexBits] : []), ...opcodeBytes(entry, opcode)];
  if (isVector) bytes.push(...vector);
  if (encodedMemory !== undefined)
    bytes.push(encodedMemory.modrm | ((reg & 7) << 3), ...encodedMemory.tail);
  else if (form === "reg") bytes.push(0xc0 | ((reg & 7) << 3) | (rm & 7));
  else if (isVector) bytes.push(0xc1);

  let offset = 0n;
  if (entry.operands.some(({ kind }) => kind === "moffs")) {
    offset = BigInt.asUintN(addressSize, request.offset ?? randomImmediate(random));
    bytes.push(...littleEndian(offset, addressSize >> 3));
  }
  const immediates = encodeImmediates(entry, operandSize, request, random);
  bytes.push(...immediates.bytes);
  return {
    bytes: Uint8Array.from(bytes),
    operandSize,
    addressSize,
    form,
    reg,
    rm,
    memory,
    offset,
    immediate: immediates.immediate,
    immediate2: immediates.immediate2,
  };
}
