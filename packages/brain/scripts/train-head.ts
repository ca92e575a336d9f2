/**
 * Trains the classifier's head from data/training and writes src/understand/head.generated.ts.
 *
 *   node --conditions=@queztl/source packages/brain/scripts/train-head.ts [--dry]
 *
 * Validation leaves whole topics out (six folds), so that no held-out sentence has a sibling in
 * training; glossaries always train. Every choice (regularisation, temperature) is made on these
 * folds; data/labelled.tsv is never read here.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { softmax } from "../src/understand/head.ts";
import { hashBuckets, textFeatures } from "../src/understand/text-features.ts";
import type { TextFeatures } from "../src/understand/text-features.ts";
import { wordDimensions } from "../src/understand/word-table.ts";
import { readTraining } from "./training-text.ts";
import type { Example } from "./training-text.ts";

const { values } = parseArgs({
  options: {
    dry: { type: "boolean", default: false },
    decay: { type: "string", default: "0.0001" },
    term: { type: "string", default: "1" },
    steps: { type: "string", default: "150" },
  },
});
const folds = 6;
const domains = ["mining", "geophysics", "3d-generation", "ml-training", "inference", "general"];
const width = wordDimensions + hashBuckets;

interface Row {
  readonly example: Example;
  /** The features that are not zero: their places and values. */
  readonly places: Int32Array;
  readonly values: Float32Array;
  readonly label: number;
  readonly fold: number;
}
interface Head {
  readonly weights: Float32Array;
  readonly bias: Float32Array;
}

const examples = readTraining();
const topics = [...new Set(examples.map(({ topic }) => topic))].sort();
const rows: Row[] = examples.map((example) => ({
  example,
  ...sparse(textFeatures(example)),
  label: domains.indexOf(example.domain),
  fold: example.term ? -1 : topics.indexOf(example.topic) % folds,
}));

const heldOut: { scores: number[]; label: number }[] = [];
for (let fold = 0; fold < folds; fold++) {
  const head = train(rows.filter((row) => row.fold !== fold));
  for (const row of rows.filter((r) => r.fold === fold)) {
    heldOut.push({ scores: score(head, row), label: row.label });
  }
}
const right = heldOut.filter(({ scores, label }) => argmax(scores) === label).length;
const temperature = [0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.4, 1.6, 1.8, 2].reduce((best, t) =>
  logLoss(t) < logLoss(best) ? t : best,
);
console.log(
  `${rows.length} examples, ${topics.length} topics; held-out topics: accuracy ${(right / heldOut.length).toFixed(3)}, temperature ${temperature}, log loss ${logLoss(temperature).toFixed(3)}`,
);
if (!values.dry) write(train(rows));

function train(used: readonly Row[]): Head {
  const count = domains.length;
  const weights = new Float32Array(width * count);
  const bias = new Float32Array(count);
  const total = used.reduce((sum, row) => sum + importance(row), 0);
  const update = adam(Number(values.decay));
  const gradient = new Float32Array(weights.length);
  const biasGradient = new Float32Array(count);
  const weightUpdate = update(weights, gradient);
  const biasUpdate = update(bias, biasGradient);
  for (let step = 1; step <= Number(values.steps); step++) {
    gradient.fill(0);
    biasGradient.fill(0);
    for (const row of used) {
      const error = softmax(score({ weights, bias }, row));
      error[row.label] = (error[row.label] ?? 0) - 1;
      for (let k = 0; k < count; k++) {
        error[k] = ((error[k] ?? 0) * importance(row)) / total;
        biasGradient[k] = (biasGradient[k] ?? 0) + (error[k] ?? 0);
      }
      for (let i = 0; i < row.places.length; i++) {
        const start = (row.places[i] ?? 0) * count;
        const value = row.values[i] ?? 0;
        for (let k = 0; k < count; k++) {
          gradient[start + k] = (gradient[start + k] ?? 0) + value * (error[k] ?? 0);
        }
      }
    }
    weightUpdate(step);
    biasUpdate(step);
  }
  return { weights, bias };
}

function importance(row: Row): number {
  return row.example.term ? Number(values.term) : 1;
}

function adam(decay: number) {
  return (parameters: Float32Array, gradient: Float32Array) => {
    const first = new Float32Array(parameters.length);
    const second = new Float32Array(parameters.length);
    return (step: number) => {
      const rate = 0.1;
      for (let at = 0; at < parameters.length; at++) {
        const value = parameters[at] ?? 0;
        const g = (gradient[at] ?? 0) + decay * value;
        const m = (first[at] = 0.9 * (first[at] ?? 0) + 0.1 * g);
        const v = (second[at] = 0.99 * (second[at] ?? 0) + 0.01 * g * g);
        parameters[at] =
          value - (rate * (m / (1 - 0.9 ** step))) / (Math.sqrt(v / (1 - 0.99 ** step)) + 1e-8);
      }
    };
  };
}

function sparse(features: TextFeatures): { places: Int32Array; values: Float32Array } {
  const pairs = [
    ...Array.from(features.meaning, (value, at) => [at, value] as const),
    ...[...features.buckets].map(([bucket, value]) => [wordDimensions + bucket, value] as const),
  ];
  return {
    places: Int32Array.from(pairs, ([place]) => place),
    values: Float32Array.from(pairs, ([, value]) => value),
  };
}

function score(head: Head, row: Row): number[] {
  const scores = Array.from(head.bias);
  const count = scores.length;
  for (let i = 0; i < row.places.length; i++) {
    const start = (row.places[i] ?? 0) * count;
    const value = row.values[i] ?? 0;
    for (let k = 0; k < count; k++) {
      scores[k] = (scores[k] ?? 0) + value * (head.weights[start + k] ?? 0);
    }
  }
  return scores;
}

function logLoss(t: number): number {
  let sum = 0;
  for (const { scores, label } of heldOut) {
    sum -= Math.log(softmax(scores.map((s) => s / t))[label] ?? 1e-9);
  }
  return sum / heldOut.length;
}

function argmax(scores: readonly number[]): number {
  return scores.indexOf(Math.max(...scores));
}

function write(head: Head): void {
  const largest = head.weights.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const scale = largest / 127;
  const bytes = Uint8Array.from(head.weights, (value) => Math.round(value / scale) & 255);
  writeFileSync(
    new URL("../src/understand/head.generated.ts", import.meta.url),
    [
      "// Written by scripts/train-head.ts from data/training. Do not edit.",
      `export const domains: readonly string[] = ${JSON.stringify(domains)};`,
      `export const temperature: number = ${temperature};`,
      `export const scale: number = ${scale};`,
      `export const bias: readonly number[] = ${JSON.stringify(Array.from(head.bias, (b) => Number(b.toFixed(4))))};`,
      `export const weights: string = "${Buffer.from(bytes).toString("base64")}";`,
      "",
    ].join("\n"),
  );
}
