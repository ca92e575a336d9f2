import { fault } from "./errors.ts";

/** Bounds that one number of a caller's input has to keep. */
export interface NumberBounds {
  readonly above?: number;
  readonly min?: number;
  readonly max?: number;
}

/** Returns `value` where it is a finite number within the bounds; throws QZ_BRAIN_INPUT_INVALID otherwise. */
export function checkNumber(field: string, value: unknown, bounds: NumberBounds = {}): number {
  const { above = -Infinity, min = -Infinity, max = Number.MAX_VALUE } = bounds;
  if (
    typeof value !== "number" ||
    !Number.isFinite(value) ||
    value <= above ||
    value < min ||
    value > max
  ) {
    const low =
      above > -Infinity ? ` above ${above}` : min > -Infinity ? ` of at least ${min}` : "";
    const high = max < Number.MAX_VALUE ? ` of at most ${max}` : "";
    throw invalid(
      field,
      `a finite number${low}${low !== "" && high !== "" ? " and" : ""}${high}`,
      value,
    );
  }
  return value;
}

/** Returns `value` where it is a string of 1 to `maxLength` characters; throws QZ_BRAIN_INPUT_INVALID otherwise. */
export function checkName(field: string, value: unknown, maxLength = 512): string {
  if (typeof value !== "string" || value.length === 0 || value.length > maxLength) {
    throw invalid(field, `a text of 1 to ${maxLength} characters`, value);
  }
  return value;
}

/** The error for an input that is not what `expected` says; long values are cut. */
export function invalid(field: string, expected: string, value: unknown): Error {
  return fault("QZ_BRAIN_INPUT_INVALID", { field, expected, value: shown(value) });
}

function shown(value: unknown): string {
  if (typeof value === "string") {
    return value.length > 40 ? `a text of ${value.length} characters` : JSON.stringify(value);
  }
  if (typeof value === "number" || typeof value === "boolean" || value === undefined) {
    return String(value);
  }
  return value === null ? "null" : `of type ${typeof value}`;
}
