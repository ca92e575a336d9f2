/** What a helper tells the interpreter to do next. */
export const HelperStatus = {
  /** Go on with the next instruction. */
  Next: 0,
  /** An exception is pending in the state; rip stays at this instruction. */
  Fault: 1,
  /** The helper has set `State.Rip`: go on there. */
  Jump: 2,
  /** The helper has set `State.Rip`: stop running and look at what changed. */
  Exit: 3,
  /** Run the same instruction once more (an interruptible string instruction). */
  Again: 4,
} as const;

/**
 * What a translated region answers: one of these, or the record of an instruction that the interpreter is to do.
 * The state has flags, the page of rip and the budget that is left.
 */
export const RegionExit = {
  /** Go on at `State.Rip`. */
  Look: 0,
  /** Added to a block's first record: go on with the block, translated if it is. */
  Block: 1,
} as const;

/**
 * Parameters and result of a region: (budget, entry, kind of flags, and the two words of that kind, as `FlagLocals` has
 * them) → `RegionExit` or a record. A region may go on in another by itself.
 */
export const REGION_SIGNATURE = {
  parameters: ["i32", "i32", "i32", "i64", "i64"],
  results: ["i32"],
} as const;

/** Why the interpreter came back. `State.Rip` is the next instruction to run, or the one that faulted. */
export const RunStatus = {
  /** The budget of instructions is used up. */
  Budget: 0,
  Fault: 1,
  Exit: 3,
} as const;
