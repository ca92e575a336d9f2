/** How far a prediction is lifted: by a factor of it, or by so many MiB. */
export type OffsetMode = "factor" | "addend";

/** What the offset is chosen for. */
export interface OffsetCosts {
  /** What a task gets that failed once, in MiB. */
  readonly retryMib: number;
  /** What a failure costs on top of the memory it wasted, in MiB·s. */
  readonly failurePenalty: number;
  /** The part of its run after which an under-sized attempt dies. */
  readonly failureFraction: number;
  /** Extra headroom, falling with the root of the sample count, for tails not seen yet. */
  readonly headroom: number;
}

/**
 * The offset on out-of-sample predictions that would have wasted least over the samples in hand: the
 * sum of unused MiB·s, of failed attempts with their retries, and of the penalty for each failure.
 * The best offset always touches a residual, so only those are tried, with running sums over the
 * samples that would fail. The first `skip` samples are left out.
 */
export function cheapestOffset(
  mode: OffsetMode,
  predicted: readonly number[],
  peaks: readonly number[],
  seconds: readonly number[],
  costs: OffsetCosts,
  skip = 0,
): number {
  const n = predicted.length - skip;
  const factor = mode === "factor";
  if (n === 0) return factor ? 1 : 0;
  const residuals = new Float64Array(n);
  const order = new Uint32Array(n);
  let allSeconds = 0;
  let allPredicted = 0;
  let allPeaks = 0;
  let meanPrediction = 0;
  for (let i = 0; i < n; i += 1) {
    const f = predicted[i + skip] as number;
    const y = peaks[i + skip] as number;
    const s = seconds[i + skip] as number;
    residuals[i] = factor ? y / f : y - f;
    order[i] = i;
    allSeconds += s;
    allPredicted += s * f;
    allPeaks += s * y;
    meanPrediction += f / n;
  }
  order.sort((a, b) => (residuals[b] as number) - (residuals[a] as number));
  let failedSeconds = 0;
  let failedPredicted = 0;
  let failedPeaks = 0;
  let best = Infinity;
  let offset = factor ? 1 : 0;
  for (let k = 0; k < n; k += 1) {
    const i = order[k] as number;
    const o = residuals[i] as number;
    // Everything with a larger residual (the first k) would have failed with this offset.
    const s = allSeconds - failedSeconds;
    const f = allPredicted - failedPredicted;
    const unused = (factor ? o * f : o * s + f) - (allPeaks - failedPeaks);
    const lost = factor ? o * failedPredicted : o * failedSeconds + failedPredicted;
    const cost =
      unused +
      lost * costs.failureFraction +
      Math.max(0, costs.retryMib * failedSeconds - failedPeaks) +
      k * costs.failurePenalty;
    if (cost < best) {
      best = cost;
      offset = o;
    }
    const weight = seconds[i + skip] as number;
    failedSeconds += weight;
    failedPredicted += weight * (predicted[i + skip] as number);
    failedPeaks += weight * (peaks[i + skip] as number);
  }
  const headroom = costs.headroom / Math.sqrt(n);
  return factor ? offset * (1 + headroom) : offset + headroom * meanPrediction;
}
