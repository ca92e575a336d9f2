import { type AllocationGrid, onGrid } from "./allocation.ts";

/** One peak that a task of an unknown family might have, and how much it is believed. */
export interface PeakGuess {
  readonly peakMib: number;
  readonly weight: number;
}

/** An allocation that could be tried first, and what it is expected to cost per second of run. */
export interface ColdBid {
  readonly memoryMib: number;
  readonly score: number;
}

const HEADROOM = 1.3;
const MOST_BIDS = 60;

/** A guess at which exactly `mib` is among the bids: the user's own number needs no headroom. */
export const plainGuess = (mib: number, weight: number): PeakGuess => ({
  peakMib: mib / HEADROOM,
  weight,
});

/**
 * Allocations spread over the guesses with the expected cost of each: memory unused where it is
 * enough; where it is not, every attempt of a doubling retry and a penalty. Only what lies above
 * `aboveMib` (an allocation that failed already) is considered.
 */
export function coldBids(
  guesses: readonly PeakGuess[],
  options: { readonly aboveMib: number; readonly penalty: number; readonly grid: AllocationGrid },
): ColdBid[] {
  const { aboveMib, penalty, grid } = options;
  const possible = guesses
    .filter((guess) => guess.peakMib * HEADROOM > aboveMib)
    .sort((a, b) => b.peakMib - a.peakMib);
  let total = 0;
  let mean = 0;
  for (const { weight } of possible) total += weight;
  for (const { peakMib, weight } of possible) mean += (peakMib * weight) / total;
  const sizes = new Set<number>();
  let passed = 0;
  let next = 0;
  for (const { peakMib, weight } of possible) {
    passed += weight;
    if (passed < next) continue;
    sizes.add(onGrid(peakMib * HEADROOM, grid));
    next = passed + total / MOST_BIDS;
  }
  const bids: ColdBid[] = [];
  for (const size of sizes) {
    if (size <= aboveMib) continue;
    let score = 0;
    for (const { peakMib, weight } of possible) {
      if (peakMib <= size) {
        score += weight * (size - peakMib);
      } else {
        const enough = size * 2 ** Math.ceil(Math.log2(peakMib / size));
        score += weight * (enough - size + (enough - peakMib) + penalty * mean);
      }
    }
    bids.push({ memoryMib: size, score });
  }
  return bids;
}
