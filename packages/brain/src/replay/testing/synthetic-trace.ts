import type { TraceTask } from "../trace.ts";

/** A made-up trace with overlapping tasks of five families: flat, growing, noisy, bimodal and drifting. */
export function syntheticTrace(count: number, seed: number): TraceTask[] {
  let state = seed;
  const random = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
  const families = ["prep.flat", "align.linear", "call.noisy", "sort.bimodal", "train.drift"];
  return Array.from({ length: count }, (_, index): TraceTask => {
    const kind = Math.floor(random() * families.length);
    const inputBytes = Math.round(1e6 * 2 ** (random() * 8));
    const noise = 1 + 0.2 * random();
    const peaks = [
      300 * noise,
      80 + (inputBytes / 1e6) * 12 * noise,
      200 * Math.exp(random() * 2),
      random() < 0.3 ? 2000 * noise : 150 * noise,
      100 + index * 3 * noise,
    ];
    const runtimeSeconds = 20 + random() * 600;
    const startSeconds = index * 30;
    return {
      trace: "synthetic",
      family: families[kind] as string,
      inputBytes,
      peakMib: peaks[kind] as number,
      runtimeSeconds,
      requestMib: kind % 2 === 0 ? 4096 : undefined,
      startSeconds,
      endSeconds: startSeconds + runtimeSeconds,
    };
  });
}
