import { addHashed, hashText, normalise, vectorDimensions } from "../recall/hashed-vector.ts";
import { knownWord, wordDimensions } from "./word-table.ts";
import { stem, textWords } from "./words.ts";

/** Buckets for hashed words, word pairs and letter runs. */
export const hashBuckets = 4096;

/** What the classifier's head reads: a dense meaning and a sparse spelling. */
export interface TextFeatures {
  readonly words: readonly string[];
  /** Mean of the known words' vectors by weight, length 1 (or all zero). */
  readonly meaning: Float32Array;
  /** Buckets and values of the spelling, together of length 1.5 (or none). */
  readonly buckets: ReadonlyMap<number, number>;
  /** Share of the words (by weight) that the table or a data key explains, 0 to 1. */
  readonly known: number;
}

/** The text a task offers: its description, data keys and file names. */
export interface TaskText {
  readonly description: string;
  readonly keys?: readonly string[];
  readonly files?: readonly string[];
}

const spellingLength = 1.5;
const keyShare = 0.5;
const unknownWeight = 0.97;

/** Turns a task's text into features. Pure and bounded by what `textWords` reads. */
export function textFeatures(text: TaskText): TextFeatures {
  const words = textWords(text.description);
  const meaning = new Float32Array(wordDimensions);
  const spelling = new Map<number, number>();
  const add = (feature: string, value: number) => {
    const hash = hashText(feature);
    const bucket = (hash >>> 1) % hashBuckets;
    spelling.set(bucket, (spelling.get(bucket) ?? 0) + ((hash & 1) === 0 ? value : -value));
  };
  let explained = 0;
  let total = 0;
  const weights = words.map((word) => {
    const found = knownWord(word);
    found?.addTo(meaning, found.weight);
    const weight = found?.weight ?? (/^\d|^.$/.test(word) ? 0.1 : unknownWeight);
    total += weight;
    if (found !== undefined) explained += weight;
    return weight;
  });
  words.forEach((word, at) => {
    const weight = weights[at] ?? 0;
    add(`w${stem(word)}`, weight);
    const next = words[at + 1];
    if (next !== undefined) {
      add(`b${stem(word)} ${stem(next)}`, 0.5 * Math.max(weight, weights[at + 1] ?? 0));
    }
    if (word.length >= 4) {
      const padded = `^${word}$`;
      const runs = padded.length - 3;
      for (let i = 0; i < runs; i++) {
        add(`c${padded.slice(i, i + 4)}`, (0.5 * weight) / Math.sqrt(runs));
      }
    }
  });
  for (const key of (text.keys ?? []).slice(0, 64)) {
    for (const word of textWords(key.slice(0, 64))) {
      const found = knownWord(word);
      found?.addTo(meaning, keyShare * found.weight);
      add(`k${stem(word)}`, 0.7);
      explained += found === undefined ? 0 : keyShare;
      total += keyShare;
    }
  }
  for (const file of (text.files ?? []).slice(0, 64)) {
    add(`x${fileExtension(file)}`, 0.7);
  }
  let square = 0;
  for (const value of spelling.values()) square += value * value;
  const scale = square > 0 ? spellingLength / Math.sqrt(square) : 0;
  for (const [bucket, value] of spelling) spelling.set(bucket, value * scale);
  return {
    words,
    meaning: normalise(meaning),
    buckets: spelling,
    known: total > 0 ? explained / total : 0,
  };
}

/** A file name's ending in lower case without the dot (`nii.gz` → `gz`), or the whole short name. */
export function fileExtension(name: string): string {
  const last = name.slice(-128).split(/[/\\]/).pop() ?? "";
  return (last.split(".").pop() ?? "").toLowerCase().slice(0, 16);
}

/**
 * The 256 numbers by which recall compares tasks: 192 of meaning, 64 of hashed words, length 1.
 */
export function embedText(features: TextFeatures): Float32Array {
  const vector = new Float32Array(vectorDimensions);
  const words = new Float32Array(vectorDimensions - wordDimensions);
  for (const word of features.words) {
    addHashed(words, stem(word), knownWord(word)?.weight ?? unknownWeight);
  }
  normalise(words);
  vector.set(features.meaning.map((value) => 0.85 * value));
  vector.set(
    words.map((value) => 0.53 * value),
    wordDimensions,
  );
  return normalise(vector);
}
