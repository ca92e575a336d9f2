import { OPCODES } from "../isa/opcodes.ts";
import { operandSizesOf } from "../isa/operand-size.ts";
import { widthBytes } from "../isa/operand.ts";
import type { Description, Shape } from "../semantics/context.ts";
import { descriptions } from "../semantics/descriptions.ts";
import type { OpcodeEntry } from "../isa/opcode-entry.ts";
import { semanticsName, shapeOf } from "./shapes.ts";

/** Every shape that a described instruction can take, each once. */
export function enumerateShapes(): Shape[] {
  const shapes = new Map<string, Shape>();
  for (const entry of OPCODES) {
    const description = descriptions[semanticsName(entry)];
    if (description === undefined) continue;
    for (const mode of [16, 32, 64] as const) {
      if (mode === 64 ? !entry.long : !entry.legacy) continue;
      for (const shape of shapesIn(entry, description, mode)) shapes.set(shape.key, shape);
    }
  }
  return [...shapes.values()];
}

function* shapesIn(
  entry: OpcodeEntry,
  description: Description,
  mode: 16 | 32 | 64,
): Generator<Shape> {
  const modrm = entry.operands.some(({ kind }) => kind.endsWith("rm"));
  const memories = !modrm ? [false] : entry.form === "any" ? [false, true] : [entry.form === "mem"];
  const nears = entry.operands.some(({ kind }) => kind === "relative") ? [false, true] : [false];
  const addressSizes = description.string !== true ? [64] : mode === 64 ? [64, 32] : [32, 16];
  const repeats = description.string === true ? ["", "rep", "repne"] : [""];
  const sizes = new Set(
    (["amd", "intel"] as const).flatMap((vendor) => operandSizesOf(entry.sizeClass, mode, vendor)),
  );
  for (const size of sizes)
    for (const memory of memories)
      for (const near of nears)
        for (const addressSize of addressSizes as (16 | 32 | 64)[])
          for (const repeat of repeats as ("" | "rep" | "repne")[])
            yield shapeOf({ entry, description, size, addressSize, mode, memory, near, repeat });
}

/** Bytes that the memory operand of a shape spans at least; 1 where the instruction decides. */
export function memoryBytes(entry: OpcodeEntry, size: 16 | 32 | 64, mode: 16 | 32 | 64): number {
  for (const { kind, width } of entry.operands) {
    if (kind === "rm" || kind === "memory" || kind === "moffs" || kind.endsWith("-rm")) {
      return Math.max(1, widthBytes(width, size, mode));
    }
  }
  return 1;
}
