import { createRequire } from "node:module";
import type * as Iced from "iced-x86";
import type { Mode, Vendor } from "../../isa/operand-size.ts";

// The package is CommonJS whose named exports Node cannot see.
const iced = createRequire(import.meta.url)("iced-x86") as typeof Iced;

/** What the reference disassembler says of an instruction. */
export interface ReferenceInstruction {
  /** 0 where the bytes are no instruction. */
  readonly length: number;
  /** iced's name of the form. */
  readonly code: string;
  /** In the normal form of {@link normalText}. */
  readonly text: string;
  /** Number of the segment of the memory operand, or -1. */
  readonly segment: number;
}

const formatter = new iced.Formatter(iced.FormatterSyntax.Intel);
formatter.hexPrefix = "0x";
formatter.hexSuffix = "";
formatter.uppercaseHex = false;
formatter.spaceAfterOperandSeparator = true;
formatter.smallHexNumbersInDecimal = false;
formatter.usePseudoOps = false;
formatter.memorySizeOptions = iced.MemorySizeOptions.Always;
formatter.ripRelativeAddresses = true;
formatter.showBranchSize = false;
formatter.addLeadingZeroToHexNumbers = false;
formatter.branchLeadingZeros = false;

/** What both texts are stripped of, and brought to: differences of taste, not of substance. */
const NORMAL: readonly (readonly [RegExp, string])[] = [
  [
    /\b(data16|data32|data64|addr32|addr16|bnd|notrack|xacquire|xrelease|hint-taken|hint-not-taken) /g,
    "",
  ],
  [/^rep ret/, "ret"],
  [/\bret far\b/, "retf"],
  [/\b(far|near|short) /g, ""],
  // Implied operands of string instructions and XLAT.
  [/\b((?:movs|cmps|stos|lods|scas|ins|outs)[bwdq]|xlat)b? (?!xmm|\w+ ptr .*, xmm).*/, "$1"],
  [/xlatb/, "xlat"],
  // Implied ST(0).
  [/^(f\w+) st, (.*\[)/, "$1 $2"],
  [/^(f.*\]), st$/, "$1"],
  [/^(fstp?) (st\(\d\)), st$/, "$1 $2"],
  [/^fld st, /, "fld "],
  [/^((?:ro|rc|sh|sa)[lr] .*, )0x1$/, "$11"],
  // Hints that processors without them take for NOPs; the register of a reserved NOP.
  [/^nop (.*), \w+$/, "nop $1"],
  [/^xchg (rax, rax|eax, eax|ax, ax)$/, "nop"],
  [/^prefetch(w|wt1|_\w+|) /, "prefetch "],
  [/^((?:p?blendv\w+|sha256rnds2) \w+, .*), xmm0$/, "$1"],
  [/^(lea .*)[c-gs]s:/, "$1"],
  [/^([sl][gi]dt) [ft](byte|word) ptr/, "$1"],
  [/(zmmword|fpustate\d+|fpuenv\d+) ptr /, ""],
  // Selector and offset of a far pointer: iced puts the offset first.
  [/^(call|jmp) (0x\w+), (0x\w+)$/, "$1 $3:$2"],
  [
    /^(?:\ws )?(vmrun|vmload|vmsave|skinit|clzero|invlpgb?a?|pvalidate|monitorx?|umonitor|xbegin).*/,
    "$1",
  ],
  [/^(maskmov.*), \ws$/, "$1"],
  [/^(prefetchit[01]|cldemote) (.*)/, "nop $2"],
  [/^nop (byte|word|dword|qword) ptr /, "nop "],
  [/^getsecq/, "getsec"],
];

/** Brings a disassembled line to the form in which two disassemblers can be compared. */
export function normalText(text: string): string {
  return NORMAL.reduce((line, [pattern, by]) => line.replace(pattern, by), text);
}

/** Decodes the instruction at the start of `bytes` with iced. */
export function referenceDecode(
  bytes: Uint8Array,
  mode: Mode,
  address: bigint,
  vendor: Vendor,
): ReferenceInstruction {
  const decoder = new iced.Decoder(
    mode,
    bytes,
    vendor === "amd" ? iced.DecoderOptions.AMD : iced.DecoderOptions.None,
  );
  decoder.ip = address;
  const instruction = decoder.decode();
  const valid = instruction.code !== iced.Code.INVALID;
  const segment = instruction.memorySegment - iced.Register.ES;
  const reference = {
    length: valid ? instruction.length : 0,
    code: iced.Code[instruction.code] ?? "",
    text: valid ? normalText(formatter.format(instruction)) : "",
    segment: segment >= 0 && segment < 6 ? segment : -1,
  };
  instruction.free();
  decoder.free();
  return reference;
}
