import type { OpcodeEntry } from "../isa/opcode-entry.ts";
import { widthBytes } from "../isa/operand.ts";
import type { OperandSpec } from "../isa/operand.ts";
import type { Description, OperandClass, OperandShape, Shape } from "../semantics/context.ts";

/** The prefixes and sizes under which one form of an instruction is executed. */
export interface ShapeInput {
  readonly entry: OpcodeEntry;
  readonly description: Description;
  readonly size: 16 | 32 | 64;
  readonly addressSize: 16 | 32 | 64;
  readonly mode: 16 | 32 | 64;
  /** Whether the ModRM operand is in memory. */
  readonly memory: boolean;
  readonly near: boolean;
  readonly repeat: "" | "rep" | "repne";
}

/**
 * The name under which the semantics of a form are described: its mnemonic, but one name for the sixteen
 * condition codes, and separate names where a mnemonic means unrelated things.
 */
export function semanticsName(entry: OpcodeEntry): string {
  const { mnemonic, condition, operands } = entry;
  if (condition >= 0) {
    if (mnemonic.startsWith("set")) return "setcc";
    return mnemonic.startsWith("cmov") ? "cmovcc" : "jcc";
  }
  for (const { kind, width } of operands) {
    if (kind === "segment" || kind === "fixed-segment") {
      return /^(mov|push|pop)$/.test(mnemonic) ? `${mnemonic}-segment` : mnemonic;
    }
    if (kind === "control" || kind === "debug") return `${mnemonic}-${kind}`;
    if (width === "p" && /^(call|jmp)$/.test(mnemonic)) return `${mnemonic}-far`;
  }
  // CMPSD and MOVSD name both string instructions (listed by their 16-bit mnemonics) and SSE2 ones.
  const source = operands[0]?.kind;
  if (source?.startsWith("string") || operands[1]?.kind.startsWith("string")) {
    return mnemonic.slice(0, 4).replace(/[bwdq]$/, "");
  }
  return mnemonic;
}

/** Whether a shape is that of indirect jumps or calls: room for their targets follows their records. */
export function notesTargets({ name, operands }: Shape): boolean {
  return (name === "jmp" || name === "call") && operands[0]?.class !== "target";
}

/** Builds the shape of a form under given sizes. */
export function shapeOf(input: ShapeInput): Shape {
  const { entry, description, size, mode, memory, near, repeat } = input;
  const name = semanticsName(entry);
  const operands = entry.operands.map((spec) => operandShape(spec, size, mode, memory));
  const long = mode === 64 && description.modal === true;
  const addressSize = description.string === true ? input.addressSize : 64;
  const parts = [name, ...operands.map(({ class: kind, bits }) => `${kind}${bits}`), String(size)];
  if (entry.condition >= 0) parts.push(`cc${entry.condition}`);
  if (description.modal === true) parts.push(long ? "long" : "legacy");
  if (description.string === true) parts.push(`a${addressSize}`, repeat);
  if (near) parts.push("near");
  return {
    key: parts.join(" "),
    name,
    operands,
    size,
    condition: entry.condition,
    long,
    near,
    addressSize,
    repeat: description.string === true ? repeat : "",
  };
}

function operandShape(
  spec: OperandSpec,
  size: 16 | 32 | 64,
  mode: 16 | 32 | 64,
  memory: boolean,
): OperandShape {
  const kind = operandClass(spec, memory);
  const width = kind === "memory" ? spec.width : spec.registerWidth;
  const bytes = widthBytes(width, size, mode);
  // A sign-extended immediate has the operand's size although it is encoded in fewer bytes.
  const extended = kind === "immediate" && (spec.signed || width === "z");
  const bits = extended ? size : bytes * 8;
  if (kind === "xmm") return { class: kind, bits: 128 };
  if (kind === "mmx") return { class: kind, bits: 64 };
  return { class: kind, bits };
}

function operandClass(spec: OperandSpec, memory: boolean): OperandClass {
  switch (spec.kind) {
    case "rm":
      return memory ? "memory" : "register";
    case "xmm-rm":
      return memory ? "memory" : "xmm";
    case "mmx-rm":
      return memory ? "memory" : "mmx";
    case "rm-register":
    case "reg":
    case "opcode-register":
    case "register":
      return "register";
    case "segment":
    case "fixed-segment":
      return "segment";
    case "memory":
    case "moffs":
    case "string-source":
    case "string-destination":
      return "memory";
    case "immediate":
    case "one":
    case "far-pointer":
      return "immediate";
    case "relative":
      return "target";
    case "control":
      return "control";
    case "debug":
      return "debug";
    case "xmm":
    case "xmm-register":
    case "xmm0":
      return "xmm";
    case "mmx":
    case "mmx-register":
      return "mmx";
    case "st0":
    case "st":
      return "st";
  }
}
