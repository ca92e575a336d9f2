/** The middle of the samples: half of them lie on each side. NaN for none. */
export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}

/** The distance between the quartiles, as a share of the median: 0.1 is "half within about ±5 %". */
export function spread(samples: readonly number[]): number {
  return (quantile(samples, 0.75) - quantile(samples, 0.25)) / median(samples);
}

/** The value below which a share of the samples lies, linear between neighbours (Hyndman–Fan 7). */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * share;
  const [below = Number.NaN, above = below] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  return below + (above - below) * (place - Math.floor(place));
}

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/**
 * Where the true median lies with at least 95 % confidence, without assuming any distribution: the
 * order statistics that the binomial distribution gives (Conover, "Practical Nonparametric
 * Statistics", 3.2). With fewer than 6 samples no pair is that sure; then the whole range.
 */
export function medianInterval(samples: readonly number[]): Interval {
  const sorted = samples.toSorted((a, b) => a - b);
  const count = sorted.length;
  // P(fewer than `rank` of the samples lie below the median), which must stay under 2.5 %.
  let [rank, tail, term] = [0, 0, 0.5 ** count];
  while (tail + term <= 0.025) {
    tail += term;
    term *= (count - rank) / (rank + 1);
    rank += 1;
  }
  const first = Math.max(rank - 1, 0);
  return { low: sorted[first] ?? Number.NaN, high: sorted[count - 1 - first] ?? Number.NaN };
}
