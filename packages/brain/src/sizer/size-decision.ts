import { type AllocationGrid, onGrid } from "./allocation.ts";
import type { SizeQuery } from "./memory-policy.ts";

/** Changes whenever the same evidence would lead to another decision. */
export const SIZER_VERSION = 1;

/** What a decision rests on. */
export type SizeBasis =
  /** tasks of the same family */
  | "experience"
  /** families with similar names, inputs and requests */
  | "recall"
  /** nothing but the user's request, or the default where there is none */
  | "request"
  /** an attempt that failed */
  | "retry";

/** One size that was considered. */
export interface SizeCandidate {
  readonly name: string;
  readonly memoryMib: number;
  /** Expected cost; the least wins. Comparable only within one decision. */
  readonly score: number;
}

/** Everything `decide` looks at, and all that is needed to repeat it. */
export interface SizeEvidence {
  readonly version: number;
  readonly basis: SizeBasis;
  readonly query: SizeQuery;
  readonly candidates: readonly SizeCandidate[];
  /** An allocation known to be too small, 0 where none is. */
  readonly aboveMib: number;
  readonly grid: AllocationGrid;
}

/** What the evidence leads to. */
export interface SizeDecision {
  readonly memoryMib: number;
  readonly chosen: string;
}

/**
 * The decision itself, a pure function of its evidence with nothing but comparisons, products and
 * rounding in it: the same evidence gives the same bits on any computer.
 */
export function decideSize(evidence: SizeEvidence): SizeDecision {
  const { candidates, aboveMib, grid } = evidence;
  let best = candidates[0];
  for (const candidate of candidates) {
    if (best === undefined || candidate.score < best.score) best = candidate;
  }
  const wanted = Math.max(best?.memoryMib ?? 0, aboveMib * 1.25);
  return { memoryMib: onGrid(wanted, grid), chosen: best?.name ?? "double" };
}
