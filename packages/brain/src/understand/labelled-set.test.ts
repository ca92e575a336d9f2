import { expect, test } from "vitest";
import { readTraining } from "../../scripts/training-text.ts";
import { judge, readLabelled } from "./testing/labelled-set.ts";
import { stem, textWords } from "./words.ts";

const set = readLabelled();
const domains = ["mining", "geophysics", "3d-generation", "ml-training", "inference", "general"];

test("the labelled set → at least 300, six domains and two difficulties in balance, none twice", () => {
  expect(set.length).toBeGreaterThanOrEqual(300);
  for (const domain of domains) {
    for (const difficulty of ["easy", "hard"]) {
      const share = set.filter((i) => i.domain === domain && i.difficulty === difficulty);
      expect(share).toHaveLength(set.length / 12);
    }
  }
  expect(new Set(set.map((i) => i.description.toLowerCase())).size).toBe(set.length);
});

test("hard descriptions → without the words that name their domain", () => {
  const naming: Record<string, RegExp> = {
    mining: /\bmin(e|es|ing|er|eral\w*)\b|\bore\b|deposit|orebody|\bmag survey/i,
    geophysics: /geophys|seismi|earthquake|gravity|tomograph|resistivity/i,
    "3d-generation": /\b3d\b|mesh|render|point cloud|voxel|polygon/i,
    "ml-training": /\btrain|machine learning|neural|epoch|fine-?tun|hyperparameter/i,
    inference: /inference|predict|pre-?trained|\bllm\b|classif/i,
    general: /compil|script|docker|database|backup|\bsql\b|transcod/i,
  };
  const named = set.filter(
    (i) => i.difficulty === "hard" && naming[i.domain]?.test(i.description) === true,
  );
  expect(named.map((i) => i.description)).toEqual([]);
});

test("training sentences → none is a near copy of a labelled one", () => {
  // Word sets after stemming, without the fifty commonest words of English.
  const common = new Set(
    "the of and to a in is it for on with as by at from or an be this that are was not have all we our my me i you your its how what which when who where do does so no one each every more than".split(
      " ",
    ),
  );
  const wordSet = (text: string) =>
    new Set(
      textWords(text)
        .filter((word) => !common.has(word))
        .map(stem),
    );
  const training = readTraining()
    .filter((example) => !example.term)
    .map((example) => ({ text: example.description, words: wordSet(example.description) }));
  const copies: string[] = [];
  for (const item of set) {
    const words = wordSet(item.description);
    if (words.size < 3) continue;
    for (const other of training) {
      let shared = 0;
      for (const word of words) if (other.words.has(word)) shared++;
      if (other.words.size >= 3 && shared / (words.size + other.words.size - shared) > 0.6) {
        copies.push(`${item.description} ~ ${other.text}`);
      }
    }
  }
  expect(copies).toEqual([]);
});

test("the labelled set → 95 % right where keywords help, 75 % where none does, calibrated", () => {
  const { easy, hard, hardTopTwo, calibrationError } = judge(set);
  expect(easy).toBeGreaterThanOrEqual(0.95);
  expect(hard).toBeGreaterThanOrEqual(0.75);
  expect(hardTopTwo).toBeGreaterThanOrEqual(0.85);
  expect(calibrationError).toBeLessThan(0.1);
});
