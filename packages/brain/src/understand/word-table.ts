import { dimensions, scales, vectors, weights, words } from "./word-table.generated.ts";
import { wordForms } from "./words.ts";

/** A word's place in the distilled table. */
export interface KnownWord {
  /** How much it says, 0 to 1: near 0 for "the", near 1 for "kriging". */
  readonly weight: number;
  /** Adds `factor` × its vector to the first `wordDimensions` numbers of `sum`. */
  addTo(sum: Float32Array, factor: number): void;
}

/** Length of the distilled word vectors. */
export const wordDimensions: number = dimensions;

interface Table {
  readonly rowOf: ReadonlyMap<string, number>;
  readonly weights: Uint8Array;
  readonly scales: Uint8Array;
  readonly vectors: Uint8Array;
}

let table: Table | undefined;

/** Looks a word or one of its plain forms up; undefined for a word outside the table. */
export function knownWord(word: string): KnownWord | undefined {
  const { rowOf, ...bytes } = (table ??= readTable());
  for (const form of wordForms(word)) {
    const row = rowOf.get(form);
    if (row === undefined) continue;
    return {
      weight: (bytes.weights[row] ?? 0) / 255,
      addTo(sum, factor) {
        // Each number is four bits, -7 to 7, of the row's own scale.
        const scale = (factor * (bytes.scales[row] ?? 0)) / (255 * 7);
        const start = (row * dimensions) / 2;
        for (let at = 0; at < dimensions; at += 2) {
          const pair = bytes.vectors[start + at / 2] ?? 0;
          sum[at] = (sum[at] ?? 0) + ((pair >> 4) - 8) * scale;
          sum[at + 1] = (sum[at + 1] ?? 0) + ((pair & 15) - 8) * scale;
        }
      },
    };
  }
  return undefined;
}

/** Bytes of base64 text; `atob` is in every browser and in Node. */
export function bytesOfBase64(text: string): Uint8Array {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

function readTable(): Table {
  return {
    rowOf: new Map(words.split(" ").map((word, row) => [word, row])),
    weights: bytesOfBase64(weights),
    scales: bytesOfBase64(scales),
    vectors: bytesOfBase64(vectors),
  };
}
