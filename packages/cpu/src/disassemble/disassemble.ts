import { Decoder } from "../decode/decoder.ts";
import { PREFIX_LOCK, PREFIX_REP, PREFIX_REPNE, type Instruction } from "../decode/instruction.ts";
import type { OpcodeEntry } from "../isa/opcode-entry.ts";
import type { Mode, Vendor } from "../isa/operand-size.ts";
import { cpuError } from "../errors.ts";
import { OPCODES } from "../isa/opcodes.ts";
import { operandText } from "./operand-text.ts";

/** Options of {@link disassemble} and {@link disassembleAll}. */
export interface DisassembleOptions {
  /** 16-, 32- or 64-bit code; 64 by default. */
  readonly mode?: Mode;
  /** Where `bytes[0]` lies in memory; 0 by default. Branch targets are printed as addresses. */
  readonly address?: bigint;
  /** Whose reading of a 66 prefix on near branches in 64-bit mode; `amd` by default. */
  readonly vendor?: Vendor;
}

/** One instruction as text. */
export interface Disassembled {
  /** Address of the first byte. */
  readonly address: bigint;
  /** Bytes, prefixes included; 1 for bytes that are no (whole) instruction, 0 where there are no bytes. */
  readonly length: number;
  /** Without prefixes; `(bad)` for bytes that are no instruction. */
  readonly mnemonic: string;
  /** Destination first, in Intel syntax. */
  readonly operands: readonly string[];
  /** The whole line: prefixes, mnemonic, operands. */
  readonly text: string;
}

const decoders = new Map<Vendor, Decoder>();

function decoderFor(vendor: Vendor): Decoder {
  let decoder = decoders.get(vendor);
  if (decoder === undefined) decoders.set(vendor, (decoder = new Decoder({ vendor })));
  return decoder;
}

/** String instructions whose repetition a comparison can end: there F3 is `repe`. */
const COMPARING = /^(cmps|scas)/;

function repeatText(entry: OpcodeEntry, prefixes: number): string {
  if (!entry.operands.some(({ kind }) => kind.startsWith("string-"))) return "";
  if ((prefixes & PREFIX_REPNE) !== 0) return "repne ";
  if ((prefixes & PREFIX_REP) === 0) return "";
  return COMPARING.test(entry.mnemonic) ? "repe " : "rep ";
}

function mnemonicText(entry: OpcodeEntry, instruction: Instruction): string {
  const size = entry.mnemonicByAddressSize ? instruction.addressSize : instruction.operandSize;
  return entry.mnemonics[size === 64 ? 2 : size === 32 ? 1 : 0];
}

interface Settings {
  readonly mode: Mode;
  readonly address: bigint;
  readonly vendor: Vendor;
}

function settings({ mode = 64, address = 0n, vendor = "amd" }: DisassembleOptions): Settings {
  if (![16, 32, 64].includes(mode))
    throw cpuError("QZ_CPU_OPTIONS", { option: "mode", value: mode, expected: "16, 32 or 64" });
  return { mode, address: BigInt.asUintN(64, address), vendor };
}

function disassembleAt(
  bytes: Uint8Array,
  offset: number,
  address: bigint,
  mode: Mode,
  vendor: Vendor,
): Disassembled {
  const decoder = decoderFor(vendor);
  const entry = OPCODES[decoder.decode(bytes, offset, bytes.length, mode)];
  if (entry === undefined) {
    const length = Math.min(1, bytes.length - offset);
    return { address, length, mnemonic: "(bad)", operands: [], text: "(bad)" };
  }
  const { instruction } = decoder;
  const mnemonic = mnemonicText(entry, instruction);
  const operands = entry.operands.map((operand) =>
    operandText(entry, operand, instruction, address),
  );
  const lock = (instruction.prefixes & PREFIX_LOCK) !== 0 ? "lock " : "";
  const head = lock + repeatText(entry, instruction.prefixes) + mnemonic;
  const text = operands.length === 0 ? head : `${head} ${operands.join(", ")}`;
  return { address, length: instruction.length, mnemonic, operands, text };
}

/**
 * Disassembles the first instruction of `bytes` in Intel syntax. Never throws for any bytes: what is no instruction,
 * or is cut off, is `(bad)`. AVX, AVX-512 and XOP instructions have the right length but only the name
 * of their prefix: `vex`, `evex`, `xop`.
 *
 * @throws QZ_CPU_OPTIONS for a mode or vendor that does not exist
 */
export function disassemble(bytes: Uint8Array, options: DisassembleOptions = {}): Disassembled {
  const { address, mode, vendor } = settings(options);
  return disassembleAt(bytes, 0, address, mode, vendor);
}

/**
 * Disassembles `bytes` from the first to the last, one instruction after the other; `(bad)` takes one byte.
 *
 * @throws QZ_CPU_OPTIONS for a mode or vendor that does not exist
 */
export function* disassembleAll(
  bytes: Uint8Array,
  options: DisassembleOptions = {},
): Generator<Disassembled, void, undefined> {
  const { address, mode, vendor } = settings(options);
  for (let offset = 0; offset < bytes.length;) {
    const line = disassembleAt(bytes, offset, address + BigInt(offset), mode, vendor);
    yield line;
    offset += line.length;
  }
}
