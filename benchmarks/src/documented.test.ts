import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { readRecord } from "./record.ts";

const at = (path: string): string => new URL(`../../${path}`, import.meta.url).pathname;

/** A line of a table without what aligns it. */
const plain = (line: string): string => line.replaceAll(/[ *]+/g, " ").trim();
const digits = (value: number): string => String(Number(value.toPrecision(3)));
const range = ({ median, low, high }: { median: number; low: number; high: number }): string =>
  `${median.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})`;

test("the table of 32-bit guests in docs/performance.md → what `pnpm bench v86` wrote", () => {
  const record = readRecord(at("benchmarks/results/v86.json"));
  const lines = new Set(readFileSync(at("docs/performance.md"), "utf8").split("\n").map(plain));
  const rows = (record?.cases ?? []).map(({ name, ours, peers }) => {
    const found = peers.flatMap((peer) => ("unavailable" in peer ? [] : [peer]));
    const seconds = [ours, ...found].map(({ median }) => digits(median));
    // A bar would end the cell.
    const cells = [
      name.replaceAll("|", "\\|"),
      ...seconds,
      ...found.map(({ ratio }) => range(ratio)),
    ];
    return `| ${cells.join(" | ")} |`;
  });
  const means = (record?.means ?? []).map(({ ratio }) => range(ratio));
  rows.push(`| programs, geometric mean | | | | ${means.join(" | ")} |`);
  expect(rows.length).toBeGreaterThan(4);
  expect(rows.filter((row) => !lines.has(plain(row)))).toEqual([]);
});
