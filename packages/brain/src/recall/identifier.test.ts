import fc from "fast-check";
import { expect, test } from "vitest";
import { embedIdentifier, identifierWords, nameMatcher, nameSimilarity } from "./index.ts";

test.each([
  ["GATK4_BASERECALIBRATOR", ["gatk", "4", "baserecalibrator"]],
  ["mDiffFit", ["m", "diff", "fit"]],
  ["BAMStats.v2", ["bam", "stats", "v", "2"]],
  ["bowtie2-build", ["bowtie", "2", "build"]],
  ["", []],
  ["\u0000\u200b--", []],
])("%s → its words", (name, words) => {
  expect(identifierWords(name)).toEqual(words);
});

test("steps that share a tool → nearer than steps that share only a workflow", () => {
  const sort = "NFCORE.MAG.SAMTOOLS_SORT";
  expect(nameSimilarity(sort, "OTHER.PIPELINE.SAMTOOLS_SORT_2")).toBeGreaterThan(0.6);
  expect(nameSimilarity(sort, "NFCORE.MAG.PROKKA")).toBeLessThan(0.35);
  expect(nameSimilarity("fastqc", "fastqc_after_clipping")).toBeGreaterThan(
    nameSimilarity("fastqc", "adapter_removal"),
  );
  expect(nameSimilarity("bwa", "markduplicates")).toBeLessThan(0.05);
});

test("any two names → symmetric, within 0 and 1, itself 1, near the vectors' dot product", () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 60 }), fc.string({ maxLength: 60 }), (a, b) => {
      const similarity = nameSimilarity(a, b);
      expect(similarity).toBeCloseTo(nameSimilarity(b, a), 12);
      expect(similarity).toBeGreaterThanOrEqual(0);
      expect(similarity).toBeLessThanOrEqual(1);
      expect(nameMatcher(a)(b)).toBe(similarity);
      if (identifierWords(a).length > 0) expect(nameSimilarity(a, a)).toBeCloseTo(1, 9);
    }),
  );
  const left = embedIdentifier("GATK4_BASERECALIBRATOR");
  const right = embedIdentifier("GATK4_APPLYBQSR");
  const dot = left.reduce((sum, value, at) => sum + value * (right[at] ?? 0), 0);
  const exact = nameSimilarity("GATK4_BASERECALIBRATOR", "GATK4_APPLYBQSR");
  expect(Math.abs(dot - exact)).toBeLessThan(0.25);
});

test("a megabyte of name, prototype keys → an answer, bounded", () => {
  expect(identifierWords("a".repeat(1 << 20))).toHaveLength(1);
  expect(nameSimilarity("__proto__", "constructor")).toBeLessThan(0.3);
  expect(embedIdentifier("").every((value) => value === 0)).toBe(true);
});
