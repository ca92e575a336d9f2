import { setFlagsFromString } from "node:v8";

/** The last major version of V8 in which the flag is known to be there. */
const LAST_V8 = 13;

/**
 * Has this process's V8 heed the branch hints of generated code, which put what is rare out of the way: it can, but does not
 * unless it is told so. To be called before a machine is made.
 */
export function heedBranchHints(): void {
  const major = Number.parseInt(process.versions.v8, 10);
  if (major <= LAST_V8) setFlagsFromString("--experimental-wasm-branch-hinting");
}
