import { bias, domains, scale, temperature, weights } from "./head.generated.ts";
import type { TextFeatures } from "./text-features.ts";
import { bytesOfBase64, wordDimensions } from "./word-table.ts";

/** The six domains the trained head tells apart, in the order of its outputs. */
export const trainedDomains: readonly string[] = domains;

let matrix: Float32Array | undefined;

/** Calibrated probabilities of the trained domains, in their order. `evidence` adds log-odds. */
export function classifyText(features: TextFeatures, evidence: readonly number[] = []): number[] {
  matrix ??= readMatrix();
  const count = domains.length;
  const scores = bias.slice();
  const add = (feature: number, value: number) => {
    const start = feature * count;
    for (let at = 0; at < count; at++) {
      scores[at] = (scores[at] ?? 0) + value * (matrix?.[start + at] ?? 0);
    }
  };
  features.meaning.forEach((value, at) => add(at, value));
  for (const [bucket, value] of features.buckets) add(wordDimensions + bucket, value);
  return softmax(scores.map((score, at) => score / temperature + (evidence[at] ?? 0)));
}

/** Probabilities in proportion to the exponentials of scores. */
export function softmax(scores: readonly number[]): number[] {
  const most = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

function readMatrix(): Float32Array {
  const bytes = bytesOfBase64(weights);
  return Float32Array.from(bytes, (byte) => ((byte << 24) >> 24) * scale);
}
