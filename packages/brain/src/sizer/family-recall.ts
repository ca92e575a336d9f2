import { embedIdentifier } from "../recall/identifier.ts";
import type { PeakGuess } from "./cold-start.ts";
import type { ExpertBank } from "./expert-bank.ts";
import type { SizeQuery } from "./memory-policy.ts";

/** One family as the sizer knows it. */
export interface KnownFamily {
  readonly name: string;
  readonly requestMib: number | undefined;
  readonly bank: ExpertBank;
  /** The name as a unit vector, so that likeness is one dot product. */
  readonly embedding: Float32Array;
}

/** The guesses that other families give for a task whose own family has finished nothing. */
export interface RecalledPeaks {
  readonly guesses: readonly PeakGuess[];
  /** The families that speak loudest, with their likeness from 0 to 1. */
  readonly alike: readonly { readonly family: string; readonly similarity: number }[];
}

const NAME_SHARPNESS = 10;
const BASE_WEIGHT = 0.01;
const SAMPLES_A_FAMILY = 5;
const MOST_SAMPLES = 2500;
const INPUT_DECAY = 0.1;
const MOST_REQUEST_RATIO = 64;
const MOST_GUESSES = 500;
const BUCKET_WIDTH = 0.02;

export const knownFamily = (
  name: string,
  requestMib: number | undefined,
  bank: ExpertBank,
): KnownFamily => ({ name, requestMib, bank, embedding: embedIdentifier(name) });

/**
 * What the newest tasks of every other family needed, weighted by how alike the names and the input
 * sizes are, and scaled by the ratio of the users' requests where both families have one.
 */
export function recallPeaks(
  query: SizeQuery,
  families: ReadonlyMap<string, KnownFamily>,
): RecalledPeaks {
  const own = embedIdentifier(query.family);
  const known = new Map(query.alike?.map(({ family, similarity }) => [family, similarity]));
  const most = Math.max(1, Math.min(SAMPLES_A_FAMILY, Math.floor(MOST_SAMPLES / families.size)));
  const guesses: PeakGuess[] = [];
  const alike: { family: string; similarity: number }[] = [];
  for (const { name, requestMib, bank, embedding } of families.values()) {
    const { inputs, peaks, size } = bank.window;
    if (size === 0 || name === query.family) continue;
    const similarity = Math.min(1, Math.max(0, dot(own, embedding), known.get(name) ?? 0));
    const weight = Math.exp(NAME_SHARPNESS * (similarity - 0.5)) + BASE_WEIGHT;
    const scale = requestScale(query.requestMib ?? undefined, requestMib);
    const count = Math.min(most, size);
    for (let i = size - count; i < size; i += 1) {
      const ratio = ((inputs[i] as number) + 1) / (query.inputBytes + 1);
      guesses.push({
        peakMib: (peaks[i] as number) * scale,
        weight: (weight / count) * Math.exp(-INPUT_DECAY * Math.abs(Math.log(ratio))),
      });
    }
    if (similarity > 0.3) alike.push({ family: name, similarity });
  }
  alike.sort((a, b) => b.similarity - a.similarity);
  return { guesses: merged(guesses), alike: alike.slice(0, 3) };
}

/** Joins guesses within 2 % of each other where there are very many: the cost of a decision stays bounded. */
function merged(guesses: PeakGuess[]): PeakGuess[] {
  if (guesses.length <= MOST_GUESSES) return guesses;
  const buckets = new Map<number, { sum: number; weight: number }>();
  for (const { peakMib, weight } of guesses) {
    const bucket = Math.round(Math.log(peakMib) / BUCKET_WIDTH);
    const joined = buckets.get(bucket);
    if (joined === undefined) buckets.set(bucket, { sum: peakMib * weight, weight });
    else {
      joined.sum += peakMib * weight;
      joined.weight += weight;
    }
  }
  return Array.from(buckets.values(), ({ sum, weight }) => ({ peakMib: sum / weight, weight }));
}

function requestScale(asked: number | undefined, theirs: number | undefined): number {
  if (asked === undefined || theirs === undefined) return 1;
  return Math.min(Math.max(asked / theirs, 1 / MOST_REQUEST_RATIO), MOST_REQUEST_RATIO);
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += (a[i] as number) * (b[i] as number);
  return sum;
}
