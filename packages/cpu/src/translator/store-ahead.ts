import { Record } from "../state/record.ts";
import type { Shape } from "../semantics/context.ts";
import type { Step } from "./collect-region.ts";

/** How far from what is read a store may be to be taken for one to the same page. */
const NEAR = 128;
const FIELDS = [Record.Base, Record.Index, Record.Scale, Record.Segment];
/** Instructions that only read a memory operand that is their first. */
const READERS = new Set("cmp test bt push jmp call mul imul div idiv ldmxcsr".split(" "));

/**
 * Whether an instruction that reads memory is followed, on every way through its block, by one that writes near there: then a look
 * at the TLB that asks for writing serves both.
 */
export function storeFollows(view: DataView, steps: readonly Step[], at: number): boolean {
  const { addressRecord: from, addressHandler } = steps[at] as Step;
  if (from === 0) return false;
  const field = (record: number, name: number): number => view.getUint8(record + name);
  const isNear = ({ addressRecord: to, addressHandler: handler }: Step): boolean => {
    if (to === 0 || handler !== addressHandler) return false;
    if (FIELDS.some((name) => field(from, name) !== field(to, name))) return false;
    const displacement = (record: number): number =>
      view.getInt32(record + Record.Displacement, true);
    return Math.abs(displacement(to) - displacement(from)) < NEAR;
  };
  /** Whether the address may be another one behind an instruction. */
  const moves = ({ shape, record }: Step): boolean =>
    shape.operands[0]?.class === "register" &&
    [Record.Base, Record.Index].some(
      (name) => field(from, name) >> 3 === field(record, Record.A) >> 3,
    );
  for (const step of steps.slice(at)) {
    if (isNear(step) && stores(step.shape)) return true;
    if (step.target !== undefined || step.shape.repeat !== "" || moves(step)) return false;
  }
  return false;
}

function stores({ operands, name }: Shape): boolean {
  return operands[0]?.class === "memory" && !READERS.has(name);
}
