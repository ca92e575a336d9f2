import type { Core } from "../core.ts";
import type { MicroOp } from "./micro-op.ts";

/**
 * Carries out one instruction in JavaScript. It changes state only once nothing can fault any more; a fault
 * is thrown with `raise`. Returns a `HelperStatus`; nothing returned means that the next instruction follows.
 */
export type Helper = (cpu: Core, op: MicroOp) => number | void;

/** Helpers by the name of the semantics (`semanticsName`). */
export type Helpers = Readonly<Record<string, Helper>>;
