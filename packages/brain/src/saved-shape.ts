import { isQueztlError } from "@queztl/errors";

import { fault } from "./errors.ts";

/** What a saved value must look like: data, so that what is read back is written down in one place. */
export type Shape =
  | "number"
  | "string"
  | "anything"
  | { readonly list: Shape }
  | { readonly tuple: readonly Shape[] }
  | { readonly record: Readonly<Record<string, Shape>> }
  /** The value may also be null or missing. */
  | { readonly maybe: Shape };

export const list = (shape: Shape): Shape => ({ list: shape });
export const tuple = (...shapes: Shape[]): Shape => ({ tuple: shapes });
export const record = (fields: Record<string, Shape>): Shape => ({ record: fields });
export const maybe = (shape: Shape): Shape => ({ maybe: shape });
export const numbers = list("number");

/** Throws `QZ_BRAIN_STATE_INVALID` with the path of the first part that is not of its shape. */
export function checkShape(shape: Shape, value: unknown, path = "state"): void {
  const bad = (expected: string) =>
    fault("QZ_BRAIN_STATE_INVALID", { what: `${path} is not ${expected}` });
  if (shape === "anything") return;
  if (shape === "number") {
    if (typeof value !== "number" || !Number.isFinite(value)) throw bad("a finite number");
  } else if (shape === "string") {
    if (typeof value !== "string") throw bad("a text");
  } else if ("maybe" in shape) {
    if (value !== undefined && value !== null) checkShape(shape.maybe, value, path);
  } else if ("record" in shape) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw bad("an object");
    for (const [name, part] of Object.entries(shape.record)) {
      const own: unknown = Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined;
      checkShape(part, own, `${path}.${name}`);
    }
  } else {
    if (!Array.isArray(value)) throw bad("a list");
    const parts: unknown[] = value;
    if ("list" in shape) parts.forEach((part, i) => checkShape(shape.list, part, `${path}[${i}]`));
    else shape.tuple.forEach((part, i) => checkShape(part, parts[i], `${path}[${i}]`));
  }
}

/** Checks a saved state and restores from it; whatever the restoring finds wrong becomes `QZ_BRAIN_STATE_INVALID`. */
export function restoring<T>(shape: Shape, state: unknown, restore: () => T): T {
  checkShape(shape, state);
  try {
    return restore();
  } catch (cause) {
    if (isQueztlError(cause)) throw cause;
    const what = cause instanceof Error ? cause.message : "a part is missing";
    throw fault("QZ_BRAIN_STATE_INVALID", { what }, { cause });
  }
}
