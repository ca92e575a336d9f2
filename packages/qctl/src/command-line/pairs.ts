import { qctlErrors } from "../errors.ts";

/** `KEY=VALUE` pairs as a record. Throws `QZ_QCTL_INPUT_INVALID`. */
export function parsePairs(pairs: readonly string[], field: string): Record<string, string> {
  const all = new Map<string, string>();
  for (const pair of pairs) {
    const at = pair.indexOf("=");
    if (at < 1) {
      throw qctlErrors("QZ_QCTL_INPUT_INVALID", { field, expected: `KEY=VALUE, not ${pair}` });
    }
    all.set(pair.slice(0, at), pair.slice(at + 1));
  }
  return Object.fromEntries(all);
}
