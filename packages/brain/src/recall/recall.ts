import { fault } from "../errors.ts";
import { vectorDimensions } from "./hashed-vector.ts";
import { nameMatcher } from "./identifier.ts";

/** How an attempt ended, as far as recall cares. */
export type RecallOutcome = "ok" | "oom" | "timeout" | "failed" | "cancelled";

/** One experience as recall keeps it. */
export interface RecallEntry {
  readonly id: string;
  /** The task family's key: its words join the similarity. */
  readonly family: string;
  /** 256 finite numbers; scaled to length 1 on the way in. */
  readonly embedding: Float32Array;
  /** Sizes and counts, each finite and not negative. Compared on a logarithmic scale. */
  readonly features: Readonly<Record<string, number>>;
  readonly outcome: RecallOutcome;
}

/** What to look for; every part but the embedding may be missing. */
export interface RecallQuery {
  readonly embedding?: Float32Array;
  readonly family?: string;
  readonly features?: Readonly<Record<string, number>>;
  /** Only experiences that ended in one of these ways. */
  readonly outcomes?: readonly RecallOutcome[];
  /** How many to return at most, 5 unless told. */
  readonly limit?: number;
}

/** One experience found, the best first. */
export interface RecallMatch {
  readonly entry: RecallEntry;
  /** 0 to 1: the weighted mean of the parts below, times what such an outcome is worth. */
  readonly similarity: number;
  /** Cosine of the embeddings (negative counts as 0); undefined where the query has none. */
  readonly text: number | undefined;
  /** Likeness of the family names, as `nameSimilarity`. */
  readonly name: number | undefined;
  /** Likeness of the features: 1 the same sizes, 0.5 one size a factor of four apart. */
  readonly structure: number | undefined;
  /** Plain words, strongest first. */
  readonly reasons: readonly string[];
}

/** The nearest past experiences by text, family name, sizes and outcome. */
export interface Recall {
  readonly size: number;
  /** Adds an experience, or replaces the one with the same id. Throws `QZ_BRAIN_RECALL_FULL`. */
  add(entry: RecallEntry): void;
  /** Whether there was such an experience to remove. */
  remove(id: string): boolean;
  has(id: string): boolean;
  get(id: string): RecallEntry | undefined;
  /** An exact search over everything kept: no index that could miss a neighbour. */
  nearest(query: RecallQuery): RecallMatch[];
  /** All experiences in the order they lie in memory; their embeddings are copies. */
  entries(): IterableIterator<RecallEntry>;
}

/** Settings of `createRecall`. */
export interface RecallOptions {
  /** Most experiences kept, 10,000 unless told. */
  readonly capacity?: number;
}

const weights = { text: 0.55, name: 0.25, structure: 0.2 } as const;

// What an experience can teach: an out-of-memory death bounds the need from below, a cancellation
// says little about it.
const worth: Readonly<Record<RecallOutcome, number>> = {
  ok: 1,
  oom: 0.95,
  timeout: 0.85,
  failed: 0.7,
  cancelled: 0.6,
};

const mostFeatures = 64;

/** Makes an empty index. Searching 10,000 experiences of 256 dimensions takes a few milliseconds. */
export function createRecall(options: RecallOptions = {}): Recall {
  const capacity = options.capacity ?? 10_000;
  const rowOf = new Map<string, number>();
  const rows: Kept[] = [];
  let matrix = new Float32Array(64 * vectorDimensions);

  const rowVector = (row: number) =>
    matrix.subarray(row * vectorDimensions, (row + 1) * vectorDimensions);

  const expose = (row: number): RecallEntry => {
    const kept = rows[row] as Kept;
    return {
      id: kept.id,
      family: kept.family,
      embedding: rowVector(row).slice(),
      features: Object.fromEntries(kept.features),
      outcome: kept.outcome,
    };
  };

  return {
    get size() {
      return rows.length;
    },
    has: (id) => rowOf.has(id),
    get(id) {
      const row = rowOf.get(id);
      return row === undefined ? undefined : expose(row);
    },
    add(entry) {
      const kept = checkEntry(entry);
      const unit = unitVector(entry.embedding);
      let row = rowOf.get(kept.id);
      if (row === undefined) {
        if (rows.length >= capacity) throw fault("QZ_BRAIN_RECALL_FULL", { capacity });
        row = rows.length;
        if ((row + 1) * vectorDimensions > matrix.length) {
          const larger = new Float32Array(matrix.length * 2);
          larger.set(matrix);
          matrix = larger;
        }
        rowOf.set(kept.id, row);
      }
      rows[row] = kept;
      matrix.set(unit, row * vectorDimensions);
    },
    remove(id) {
      const row = rowOf.get(id);
      if (row === undefined) return false;
      const last = rows.length - 1;
      const moved = rows[last] as Kept;
      if (row !== last) {
        rows[row] = moved;
        matrix.copyWithin(
          row * vectorDimensions,
          last * vectorDimensions,
          (last + 1) * vectorDimensions,
        );
        rowOf.set(moved.id, row);
      }
      rows.pop();
      rowOf.delete(id);
      return true;
    },
    nearest(query) {
      const limit = Math.max(0, Math.min(query.limit ?? 5, rows.length));
      if (limit === 0) return [];
      const wanted = query.embedding === undefined ? undefined : unitVector(query.embedding);
      const likeName = query.family === undefined ? undefined : nameMatcher(query.family);
      const sizes = query.features === undefined ? undefined : checkFeatures(query.features);
      const best: Scored[] = [];
      for (let row = 0; row < rows.length; row++) {
        const kept = rows[row] as Kept;
        if (query.outcomes !== undefined && !query.outcomes.includes(kept.outcome)) continue;
        const text =
          wanted === undefined
            ? undefined
            : Math.max(0, dot(wanted, matrix, row * vectorDimensions));
        const name = likeName?.(kept.family);
        const worst = best.length === limit ? best[limit - 1] : undefined;
        const value = worth[kept.outcome];
        // Sizes are compared last, and only where even equal sizes could bring a place.
        if (worst !== undefined && blend(text, name, sizes && 1) * value <= worst.similarity)
          continue;
        const structure = sizes && likeSizes(sizes, kept.features);
        const similarity = blend(text, name, structure) * value;
        if (worst !== undefined && similarity <= worst.similarity) continue;
        let at = best.length;
        while (at > 0 && (best[at - 1] as Scored).similarity < similarity) at--;
        best.splice(at, 0, { row, similarity, text, name, structure });
        if (best.length > limit) best.pop();
      }
      return best.map(({ row, ...scores }) => {
        const entry = expose(row);
        return { entry, ...scores, reasons: explain(entry, scores, sizes) };
      });
    },
    *entries() {
      for (let row = 0; row < rows.length; row++) yield expose(row);
    },
  };
}

/** A vector as little-endian Float32 bytes (4 × 256), the form stores keep it in. */
export function vectorToBytes(vector: Float32Array): Uint8Array {
  const bytes = new Uint8Array(vector.length * 4);
  const view = new DataView(bytes.buffer);
  vector.forEach((value, at) => view.setFloat32(at * 4, value, true));
  return bytes;
}

/** The inverse of `vectorToBytes`. Throws `QZ_BRAIN_VECTOR_INVALID` unless it holds 256 finite numbers. */
export function vectorFromBytes(bytes: Uint8Array): Float32Array {
  if (bytes.byteLength !== vectorDimensions * 4) {
    throw fault("QZ_BRAIN_VECTOR_INVALID", {
      dimensions: vectorDimensions,
      what: `${bytes.byteLength} bytes were given`,
    });
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const vector = Float32Array.from({ length: vectorDimensions }, (_, at) =>
    view.getFloat32(at * 4, true),
  );
  checkVector(vector);
  return vector;
}

interface Kept {
  readonly id: string;
  readonly family: string;
  readonly features: ReadonlyMap<string, number>;
  readonly outcome: RecallOutcome;
}

interface Scores {
  readonly similarity: number;
  readonly text: number | undefined;
  readonly name: number | undefined;
  readonly structure: number | undefined;
}

interface Scored extends Scores {
  readonly row: number;
}

function checkEntry(entry: RecallEntry): Kept {
  const { id, family, outcome } = entry;
  if (typeof id !== "string" || id === "" || id.length > 256) {
    throw fault("QZ_BRAIN_RECALL_ENTRY_INVALID", { what: "an id of 1 to 256 characters" });
  }
  if (typeof family !== "string" || family.length > 512) {
    throw fault("QZ_BRAIN_RECALL_ENTRY_INVALID", { what: "a family of at most 512 characters" });
  }
  if (!Object.hasOwn(worth, outcome)) {
    throw fault("QZ_BRAIN_RECALL_ENTRY_INVALID", {
      what: `an outcome among ${Object.keys(worth).join(", ")}`,
    });
  }
  return { id, family, outcome, features: checkFeatures(entry.features) };
}

function checkFeatures(features: Readonly<Record<string, number>>): Map<string, number> {
  const pairs = Object.entries(features);
  if (pairs.length > mostFeatures) {
    throw fault("QZ_BRAIN_RECALL_ENTRY_INVALID", { what: `at most ${mostFeatures} features` });
  }
  for (const [, value] of pairs) {
    if (!Number.isFinite(value) || value < 0) {
      throw fault("QZ_BRAIN_RECALL_ENTRY_INVALID", {
        what: "features that are finite and not negative",
      });
    }
  }
  return new Map(pairs);
}

function checkVector(vector: Float32Array): void {
  if (!(vector instanceof Float32Array) || vector.length !== vectorDimensions) {
    throw fault("QZ_BRAIN_VECTOR_INVALID", {
      dimensions: vectorDimensions,
      what: `its length is ${vector.length}`,
    });
  }
  const at = vector.findIndex((value) => !Number.isFinite(value));
  if (at !== -1) {
    throw fault("QZ_BRAIN_VECTOR_INVALID", {
      dimensions: vectorDimensions,
      what: `number ${at} is ${vector[at]}`,
    });
  }
}

function unitVector(vector: Float32Array): Float32Array {
  checkVector(vector);
  let largest = 0;
  for (const value of vector) largest = Math.max(largest, Math.abs(value));
  if (largest === 0) return vector.slice();
  // Divided by its largest first, so that the squares of huge or tiny values stay in range.
  let square = 0;
  for (const value of vector) square += (value / largest) ** 2;
  const scale = largest * Math.sqrt(square);
  return vector.map((value) => value / scale);
}

function dot(a: Float32Array, matrix: Float32Array, start: number): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  // Four sums break the chain of dependent additions; `?? 0` never happens and costs nothing.
  for (let at = 0; at < vectorDimensions; at += 4) {
    s0 += (a[at] ?? 0) * (matrix[start + at] ?? 0);
    s1 += (a[at + 1] ?? 0) * (matrix[start + at + 1] ?? 0);
    s2 += (a[at + 2] ?? 0) * (matrix[start + at + 2] ?? 0);
    s3 += (a[at + 3] ?? 0) * (matrix[start + at + 3] ?? 0);
  }
  return Math.min(1, s0 + s1 + s2 + s3);
}

/** Mean over the keys of either side; a key only one side has counts as unlike. */
function likeSizes(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): number {
  let sum = 0;
  let shared = 0;
  for (const [key, value] of a) {
    const other = b.get(key);
    if (other === undefined) continue;
    shared++;
    sum += 2 ** (-Math.abs(Math.log2((value + 1) / (other + 1))) / 2);
  }
  const keys = a.size + b.size - shared;
  return keys === 0 ? 0 : sum / keys;
}

function blend(
  text: number | undefined,
  name: number | undefined,
  structure: number | undefined,
): number {
  const total =
    (text === undefined ? 0 : weights.text) +
    (name === undefined ? 0 : weights.name) +
    (structure === undefined ? 0 : weights.structure);
  if (total === 0) return 0;
  return (
    ((text ?? 0) * weights.text +
      (name ?? 0) * weights.name +
      (structure ?? 0) * weights.structure) /
    total
  );
}

function explain(
  entry: RecallEntry,
  scores: Scores,
  sizes: ReadonlyMap<string, number> | undefined,
): string[] {
  const reasons: [number, string][] = [];
  const { text, name, structure } = scores;
  if (text !== undefined && text >= 0.3) {
    reasons.push([
      text * weights.text,
      text >= 0.999 ? "the same description" : `a similar description (${percent(text)} alike)`,
    ]);
  }
  if (name !== undefined && name >= 0.3) {
    reasons.push([
      name * weights.name,
      name >= 0.999
        ? `the same family ${entry.family}`
        : `a similar name, ${entry.family} (${percent(name)} alike)`,
    ]);
  }
  if (structure !== undefined && sizes !== undefined && structure >= 0.3) {
    const shared = [...sizes.keys()].filter((key) => Object.hasOwn(entry.features, key));
    reasons.push([
      structure * weights.structure,
      `similar sizes (${shared.slice(0, 4).join(", ")})`,
    ]);
  }
  reasons.sort((a, b) => b[0] - a[0]);
  const words = reasons.map(([, reason]) => reason);
  if (words.length === 0) words.push("nothing closer is known");
  if (entry.outcome !== "ok") words.push(`it ended as ${entry.outcome}`);
  return words;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
