/**
 * How an instruction form derives its operand size from the mode and the prefixes
 * (Intel SDM vol. 1, 3.6.1; AMD APM vol. 3, 1.2.2 and table 1-2).
 */
export const SIZE_CLASSES = [
  /** The operand size plays no part: reported as 32. */
  "fixed",
  /** 16, 32 or 64 by mode, 66 prefix and REX.W. */
  "v",
  /** 64 with REX.W, otherwise 32; a 66 prefix plays no part. */
  "y",
  /** As `v`, with 32 in place of 64. */
  "z",
  /** As `v`, but 64 is the default in 64-bit mode and 32 cannot be had there (stack operations). */
  "d64",
  /** Near branches: AMD as `d64`; Intel always 64 in 64-bit mode. */
  "branch",
  /** As `v` outside 64-bit mode, always 64 inside it. */
  "f64",
  /** 64 in 64-bit mode, 32 otherwise, whatever the prefixes. */
  "native",
  /** Far pointers in memory: AMD as `z` (no 64-bit offsets); Intel as `v`. */
  "far",
] as const;

/** One of {@link SIZE_CLASSES}. */
export type SizeClass = (typeof SIZE_CLASSES)[number];

/** Whose reading of the prefixes where AMD and Intel processors differ. */
export type Vendor = "amd" | "intel";

/** A processor mode, by the default operand size of its code segment: 64 is 64-bit mode proper. */
export type Mode = 16 | 32 | 64;

/** The operand size for a size class, in bits. */
export function operandSizeOf(
  sizeClass: SizeClass,
  mode: Mode,
  prefix66: boolean,
  rexW: boolean,
  vendor: Vendor,
): 16 | 32 | 64 {
  const legacy = (mode === 16) === prefix66 ? 32 : 16;
  const long = mode === 64;
  switch (sizeClass) {
    case "fixed":
      return 32;
    case "v":
      return long && rexW ? 64 : legacy;
    case "y":
      return long && rexW ? 64 : 32;
    case "z":
      return long && rexW ? 32 : legacy;
    case "d64":
      return long ? (prefix66 && !rexW ? 16 : 64) : legacy;
    case "branch":
      return operandSizeOf(vendor === "amd" ? "d64" : "f64", mode, prefix66, rexW, vendor);
    case "f64":
      return long ? 64 : legacy;
    case "native":
      return long ? 64 : 32;
    case "far":
      return operandSizeOf(vendor === "amd" ? "z" : "v", mode, prefix66, rexW, vendor);
  }
}

/** The operand sizes that a class can yield in a mode, ascending. */
export function operandSizesOf(sizeClass: SizeClass, mode: Mode, vendor: Vendor): (16 | 32 | 64)[] {
  const found = new Set<16 | 32 | 64>();
  for (const prefix66 of [false, true])
    for (const rexW of mode === 64 ? [false, true] : [false])
      found.add(operandSizeOf(sizeClass, mode, prefix66, rexW, vendor));
  return [...found].toSorted((a, b) => a - b);
}
