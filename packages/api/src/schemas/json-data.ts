import { z } from "zod";

/** How deep and how large an input may be, whatever its schema says. */
export const INPUT_LIMITS = { depth: 32, values: 100_000, key: 256 } as const;

/** Any JSON value up to about 1 MB of text. */
export const LARGEST_JSON_DATA = 1_000_000;

/** Any JSON value; the guard before the schema has bounded its depth and kinds already. */
export const jsonData = z
  .unknown()
  .refine((value) => value === undefined || jsonLength(value) <= LARGEST_JSON_DATA, {
    error: `must be at most ${LARGEST_JSON_DATA} characters as JSON`,
  });

const jsonLength = (value: unknown): number => JSON.stringify(value)?.length ?? 0;

/**
 * What makes a value unfit to be looked at by a schema, undefined where nothing does: kinds that JSON
 * does not have, numbers that are not finite, text that no database keeps, keys that reach for a
 * prototype, nesting and sizes that would exhaust a recursive validator. Walks without recursion; a circle ends at the depth limit.
 */
export function unfitness(input: unknown): string | undefined {
  const stack: (readonly [value: unknown, depth: number])[] = [[input, 0]];
  let seen = 0;
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const [value, depth] = next;
    seen += 1;
    if (seen > INPUT_LIMITS.values) return `it has more than ${INPUT_LIMITS.values} values`;
    const kind = kindOf(value);
    if (kind === "leaf") continue;
    if (kind === "text") {
      if (unstorable.test(value as string)) return "a text has a NUL or half a character";
      continue;
    }
    if (kind !== "array" && kind !== "object") return kind;
    if (depth >= INPUT_LIMITS.depth) return `it is nested deeper than ${INPUT_LIMITS.depth} levels`;
    if (kind === "array") {
      const items = value as unknown[];
      if (items.length > INPUT_LIMITS.values) {
        return `it has more than ${INPUT_LIMITS.values} values`;
      }
      for (const item of items) stack.push([item, depth + 1]);
      continue;
    }
    for (const key of Object.keys(value as object)) {
      if (unstorable.test(key)) return "a key has a NUL or half a character";
      if (key === "__proto__") return "a key is called __proto__";
      if (key.length > INPUT_LIMITS.key)
        return `a key is longer than ${INPUT_LIMITS.key} characters`;
      stack.push([(value as Record<string, unknown>)[key], depth + 1]);
    }
  }
  return undefined;
}

// PostgreSQL refuses NUL in text and in JSON, and UTF-8 has no lone surrogates.
const unstorable = /[\0\p{Cs}]/u;

function kindOf(value: unknown): string {
  switch (typeof value) {
    case "string":
      return "text";
    case "boolean":
    case "undefined":
      return "leaf";
    case "number":
      return Number.isFinite(value) ? "leaf" : "a number is not finite";
    case "object": {
      if (value === null) return "leaf";
      if (Array.isArray(value)) return "array";
      const prototype: unknown = Object.getPrototypeOf(value);
      return prototype === Object.prototype || prototype === null
        ? "object"
        : "it holds something that JSON does not have";
    }
    default:
      return "it holds something that JSON does not have";
  }
}
