import { readFileSync } from "node:fs";
import { understand } from "../understand.ts";

/** One judged description of data/labelled.tsv. */
export interface Labelled {
  readonly domain: string;
  /** Hard descriptions avoid the domain's own keywords. */
  readonly difficulty: "easy" | "hard";
  readonly description: string;
  readonly data?: unknown;
}

/** Reads the set that only judges: no script trains or tunes on it. */
export function readLabelled(): Labelled[] {
  const file = new URL("../../../data/labelled.tsv", import.meta.url);
  return readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .slice(1)
    .map((line) => {
      const [domain = "", difficulty = "", description = "", data] = line.split("\t");
      return {
        domain,
        difficulty: difficulty === "hard" ? "hard" : "easy",
        description,
        ...(data !== undefined && { data: JSON.parse(data) as unknown }),
      };
    });
}

/** How well the understander does on a labelled set. */
export interface Judgement {
  readonly easy: number;
  readonly hard: number;
  /** Share of hard descriptions whose domain is among the two likeliest. */
  readonly hardTopTwo: number;
  /** Expected calibration error over ten equal bins of the top probability. */
  readonly calibrationError: number;
  readonly wrong: readonly { readonly item: Labelled; readonly got: string; readonly p: number }[];
}

/** Classifies each description afresh and compares. */
export function judge(set: readonly Labelled[]): Judgement {
  const results = set.map((item) => {
    const analysis = understand(item);
    const ranked = Object.entries(analysis.domains).sort((a, b) => b[1] - a[1]);
    return {
      item,
      got: analysis.domain,
      p: analysis.confidence,
      right: analysis.domain === item.domain,
      topTwo: ranked.slice(0, 2).some(([domain]) => domain === item.domain),
    };
  });
  const share = (list: readonly boolean[]) =>
    list.filter(Boolean).length / Math.max(1, list.length);
  const of = (difficulty: string) => results.filter((r) => r.item.difficulty === difficulty);
  let calibrationError = 0;
  for (let bin = 0; bin < 10; bin++) {
    const inside = results.filter((r) => Math.min(9, Math.floor(r.p * 10)) === bin);
    if (inside.length === 0) continue;
    const mean = inside.reduce((sum, r) => sum + r.p, 0) / inside.length;
    const gap = Math.abs(mean - share(inside.map((r) => r.right)));
    calibrationError += (gap * inside.length) / results.length;
  }
  return {
    easy: share(of("easy").map((r) => r.right)),
    hard: share(of("hard").map((r) => r.right)),
    hardTopTwo: share(of("hard").map((r) => r.topTwo)),
    calibrationError,
    wrong: results.filter((r) => !r.right),
  };
}
