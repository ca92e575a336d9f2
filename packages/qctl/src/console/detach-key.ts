import { qctlErrors } from "../errors.ts";

/** The byte of a key such as `ctrl-]`, as a terminal sends it; undefined for `none`. Throws `QZ_QCTL_INPUT_INVALID`. */
export function parseDetachKey(text: string): number | undefined {
  if (text === "none") return undefined;
  const key = /^(?:ctrl[-+]|\^)([a-z@[\\\]^_])$/i.exec(text)?.[1];
  if (key === undefined) {
    throw qctlErrors("QZ_QCTL_INPUT_INVALID", {
      field: "--detach-key",
      expected: "a key such as ctrl-] or ctrl-q, or none",
    });
  }
  return key.toUpperCase().charCodeAt(0) & 0x1f;
}

/** Bytes up to the detach key, and whether it was among them. */
export function untilDetach(
  data: Uint8Array,
  key: number | undefined,
): { readonly before: Uint8Array; readonly detached: boolean } {
  const at = key === undefined ? -1 : data.indexOf(key);
  return at < 0
    ? { before: data, detached: false }
    : { before: data.subarray(0, at), detached: true };
}
