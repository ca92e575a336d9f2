import type { Helpers } from "../execute/helper.ts";

/** Every instruction that is carried out by a helper, by the name of its semantics. */
export const helpers: Helpers = {};
