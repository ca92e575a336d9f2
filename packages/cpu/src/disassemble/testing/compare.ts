import { Decoder } from "../../decode/decoder.ts";
import { X86_64_V2 } from "../../isa/features.ts";
import type { Mode, Vendor } from "../../isa/operand-size.ts";
import { OPCODES } from "../../isa/opcodes.ts";
import { disassemble } from "../disassemble.ts";
import { normalText, referenceDecode } from "./iced.ts";

/** What a comparison with the reference disassembler found. */
export interface Comparison {
  /** Instructions that both know, compared in length, text and segment. */
  instructions: number;
  /** VEX, EVEX, XOP and 3DNow! instructions, compared in length. */
  vectors: number;
  /** Byte strings that both refuse. */
  refused: number;
  /** Byte strings that are left out: see {@link EXCLUDED}. */
  excluded: number;
  differences: string[];
}

export function emptyComparison(): Comparison {
  return { instructions: 0, vectors: 0, refused: 0, excluded: 0, differences: [] };
}

/**
 * Forms, by iced's names, of which the opcode table knows nothing because no AMD processor and no x86-64-v2 processor
 * has them: Key Locker, RAO-INT, ENQCMD, PadLock, MSR lists, user interrupts, … An AMD processor refuses 0F0D
 * with a register, and has no LOCK MOV CR0 unless it offers it.
 */
const EXCLUDED =
  /^(Aadd|Aand|Aor|Axor|Enqcmd|Aes(enc|dec)(wide)?(128|256)kl|Encodekey|Loadiwkey|Reservednop_\w+_0F0D|X(store|crypt|sha)|Ccs_|Via_|Montmul|Pconfig|Pbndkb|Wrmsrns|(Rd|Wr)msrlist|Lkgs|Hreset|Mcommit|Uiret|Testui|Clui|Stui|Senduipi|Seam|Tdcall|Erets|Eretu|Rmpquery|Rmpread|Mov_cr_r|Mov_r(32|64)_cr|Xsusldtrk|Xresldtrk|Cl1invmb|Prefetchrst|Bnd|Urdmsr|Uwrmsr)/;

const VECTOR = new Set(["vex", "evex", "xop", "3dnow"]);
const decoders = { amd: new Decoder(), intel: new Decoder({ vendor: "intel" }) };

/** Compares decoder and disassembler with the reference on one instruction; answers how far to go on. */
export function compareInstruction(
  bytes: Uint8Array,
  mode: Mode,
  address: bigint,
  comparison: Comparison,
  vendor: Vendor = "amd",
): number {
  const decoder = decoders[vendor];
  const reference = referenceDecode(bytes, mode, address, vendor);
  const entry = OPCODES[decoder.decode(bytes, 0, bytes.length, mode)];
  const { instruction } = decoder;
  const differ = (what: string): void => {
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    comparison.differences.push(`${mode} ${hex} ${what} (${entry?.text} / ${reference.code})`);
  };
  if (entry !== undefined && VECTOR.has(entry.mnemonic)) {
    // The reference knows which vector instructions exist; the opcode table knows only their frame.
    if (reference.length === 0) comparison.excluded++;
    else if (reference.length !== instruction.length) differ(`length ${instruction.length}`);
    else comparison.vectors++;
  } else if (reference.length === 0) {
    if (entry === undefined) comparison.refused++;
    else if (!X86_64_V2.includes(entry.feature)) comparison.excluded++;
    else differ("accepted");
  } else if (entry === undefined) {
    if (EXCLUDED.test(reference.code)) comparison.excluded++;
    else differ(`refused: ${reference.text}`);
  } else if (entry.mnemonic === "ud0" && vendor === "intel") {
    // The table has AMD's form, without ModRM.
    comparison.excluded++;
  } else if (instruction.length !== reference.length) differ(`length ${instruction.length}`);
  else if (entry.text.startsWith("90+") && reference.code === "Pause") {
    // F3 41 90: processors exchange (observed on AMD), iced pauses.
    comparison.excluded++;
  } else {
    const text = normalText(disassemble(bytes, { mode, address, vendor }).text);
    const segmentMatters = mode !== 64 || instruction.segment >= 4 || reference.segment >= 4;
    if (text !== reference.text) differ(`${text} ≠ ${reference.text}`);
    else if (
      instruction.mod !== 3 &&
      reference.segment >= 0 &&
      segmentMatters &&
      reference.segment !== instruction.segment
    )
      differ(`segment ${instruction.segment} ≠ ${reference.segment}`);
    else comparison.instructions++;
  }
  return Math.max(1, reference.length);
}

/** Compares instruction after instruction over a piece of code. */
export function compareCode(
  code: Uint8Array,
  mode: Mode,
  address: bigint,
  comparison: Comparison,
): void {
  for (let offset = 0; offset < code.length - 15;) {
    const bytes = code.subarray(offset, offset + 15);
    offset += compareInstruction(bytes, mode, address + BigInt(offset), comparison);
  }
}

const PREFIXES = Uint8Array.of(
  0x66,
  0x67,
  0xf2,
  0xf3,
  0xf0,
  0x26,
  0x2e,
  0x36,
  0x3e,
  0x64,
  0x65,
  0x40,
  0x48,
  0x41,
  0x4f,
);

/** Turns random bytes into VEX, EVEX or XOP with an existing opcode map and, mostly, no second source. */
function placeVectorFrame(bytes: Uint8Array, at: number, random: () => number): void {
  const escape = [0xc4, 0xc5, 0x62, 0x8f][random() % 4] ?? 0;
  const first = bytes[at + 1] ?? 0;
  const second = bytes[at + 2] ?? 0;
  const unused = random() % 3 === 0 ? 0 : 0x78;
  bytes[at] = escape;
  if (escape === 0xc5) bytes[at + 1] = first | unused;
  else {
    const map = escape === 0x8f ? 8 + (random() % 3) : 1 + (random() % 3);
    bytes[at + 1] = (first & (escape === 0x62 ? 0xf0 : 0xe0)) | map;
    bytes[at + 2] = second | unused | (escape === 0x62 ? 4 : 0);
  }
}

/** Compares random bytes, weighted towards prefixes and the larger opcode maps. */
export function compareRandom(
  count: number,
  mode: Mode,
  seed: number,
  comparison: Comparison,
  vendor: Vendor = "amd",
): void {
  let state = seed | 1;
  const random = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 7) & 0xffff;
  };
  const bytes = new Uint8Array(15);
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < 15; j++) bytes[j] = random();
    let at = 0;
    while (at < 10 && random() % 3 === 0) bytes[at++] = PREFIXES[random() % PREFIXES.length] ?? 0;
    const map = random() % 6;
    if (map === 5) placeVectorFrame(bytes, at, random);
    if (map === 3 || map === 4) bytes[at++] = 0x0f;
    if (map === 4) bytes[at] = random() % 2 === 0 ? 0x38 : 0x3a;
    compareInstruction(bytes, mode, 0x1000n, comparison, vendor);
  }
}
