import { addHashed, normalise, vectorDimensions } from "./hashed-vector.ts";

const longestIdentifier = 512;
const trigramShare = 0.5;

/**
 * Splits an identifier into lower-case words: `GATK4_BASERECALIBRATOR` → `gatk`, `4`,
 * `baserecalibrator`; `mDiffFit` → `m`, `diff`, `fit`. Only the first 512 characters count.
 */
export function identifierWords(name: string): string[] {
  return (
    name
      .slice(0, longestIdentifier)
      .normalize("NFKC")
      .match(/\p{Lu}+(?!\p{Ll})|\p{Lu}?\p{Ll}+|\p{Lo}+|\p{Nd}+/gu)
      ?.map((word) => word.toLowerCase()) ?? []
  );
}

/**
 * How alike two identifiers are, 0 (nothing shared) to 1 (the same words), from their words and the
 * words' letter trigrams. Words of the last segment of a dotted or slashed path weigh most, since a
 * workflow's name is shared by steps that have nothing else in common.
 */
export function nameSimilarity(a: string, b: string): number {
  return cosine(identifierFeatures(a), identifierFeatures(b));
}

/**
 * `nameSimilarity` against one fixed name, for scanning many candidates: the fixed side is split
 * once and repeated candidates are remembered.
 */
export function nameMatcher(name: string): (candidate: string) => number {
  const own = identifierFeatures(name);
  const seen = new Map<string, number>();
  return (candidate) => {
    const known = seen.get(candidate);
    if (known !== undefined) return known;
    const similarity = cosine(own, identifierFeatures(candidate));
    seen.set(candidate, similarity);
    return similarity;
  };
}

/**
 * A 256-dimension unit vector of an identifier (all zero for one without letters or digits); the dot
 * product of two of them approximates `nameSimilarity` within the noise of feature hashing (σ ≈ 0.06).
 */
export function embedIdentifier(name: string): Float32Array {
  const vector = new Float32Array(vectorDimensions);
  for (const [feature, weight] of identifierFeatures(name)) addHashed(vector, feature, weight);
  return normalise(vector);
}

function identifierFeatures(name: string): Map<string, number> {
  const features = new Map<string, number>();
  const add = (feature: string, weight: number) =>
    features.set(feature, Math.max(features.get(feature) ?? 0, weight));
  const segments = name.slice(0, longestIdentifier).split(/[./:\\]+/);
  segments.forEach((segment, at) => {
    const depth = segments.length - 1 - at;
    const importance = depth === 0 ? 1 : 0.5 / depth;
    for (const word of identifierWords(segment)) {
      // A bare number or a single letter says little about the program it names.
      const weight = importance * (/^\d+$/.test(word) || word.length === 1 ? 0.3 : 1);
      add(word, weight);
      const padded = `^${word}$`;
      const share = (trigramShare * weight) / Math.sqrt(Math.max(1, padded.length - 2));
      for (let i = 0; i + 3 <= padded.length; i++) add(`#${padded.slice(i, i + 3)}`, share);
    }
  });
  return features;
}

function cosine(a: Map<string, number>, b: Map<string, number>): number {
  let dot = 0;
  for (const [feature, weight] of a) dot += weight * (b.get(feature) ?? 0);
  if (dot === 0) return 0;
  return Math.min(1, dot / (length(a) * length(b)));
}

function length(features: Map<string, number>): number {
  let square = 0;
  for (const weight of features.values()) square += weight * weight;
  return Math.sqrt(square);
}
