import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { documentedRows } from "./documented.ts";
import { readRecord } from "./record.ts";

const at = (path: string): string => new URL(`../../${path}`, import.meta.url).pathname;

/** A line of a table without what aligns it. */
const plain = (line: string): string => line.replaceAll(/[ *]+/g, " ").trim();

test.each([
  ["v86", { programs: "programs" }],
  [
    "cpu",
    {
      integer: "integer loops",
      double: "double-precision loops",
      kernel: "kernel-heavy loops",
      programs: "Debian's programs",
    },
  ],
])("the table in docs/performance.md → what `pnpm bench %s` wrote", (bench, groups) => {
  const record = readRecord(at(`benchmarks/results/${bench}.json`));
  const lines = new Set(readFileSync(at("docs/performance.md"), "utf8").split("\n").map(plain));
  const rows = record === undefined ? [] : documentedRows(record, groups);
  expect(rows.length).toBeGreaterThan(4);
  expect(rows.filter((row) => !lines.has(plain(row)))).toEqual([]);
});
