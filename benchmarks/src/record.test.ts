import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readRecord, recordOf, writeRecord } from "./record.ts";
import type { CaseResult } from "./session.ts";

const machine = { cpu: "x", threads: 2, memoryGiB: 8, system: "Linux", node: "24", load: 0 };
const runOf = (date: string) => ({
  bench: "work",
  summary: "",
  rounds: 2,
  date,
  commit: `of ${date}`,
  machine,
});

/** A case of the one group, so many times better than its peer. */
const result = (name: string, times: number): CaseResult => ({
  name,
  group: "all",
  unit: "s",
  better: "lower",
  ours: { name: "ours", samples: [1, 1], median: 1, spread: 0 },
  peers: [
    {
      name: "peer",
      samples: [times, times],
      median: times,
      spread: 0,
      ratio: { median: times, low: times, high: times },
    },
  ],
});

const first = recordOf(runOf("Monday"), [result("a", 2), result("b", 8), result("gone", 3)], {
  names: ["a", "b", "gone"],
  before: undefined,
});

test("all cases ran → nothing of them is said to be of another time", () => {
  expect(first).toMatchObject({ date: "Monday", cases: [{ name: "a" }, { name: "b" }, {}] });
  expect(first.cases.filter(({ taken }) => taken)).toEqual([]);
});

test("one case again → its new result in the bench's order; the others with the time they are of; the mean of all", () => {
  const again = recordOf(runOf("Tuesday"), [result("b", 32)], { names: ["a", "b"], before: first });
  expect(again).toMatchObject({ date: "Tuesday", commit: "of Tuesday" });
  const monday = { date: "Monday", commit: "of Monday", machine };
  expect(again.cases).toEqual([{ ...result("a", 2), taken: monday }, result("b", 32)]);
  expect(again.means[0]?.ratio.median).toBeCloseTo(8);
});

test("kept twice → still the time of the first", () => {
  const again = recordOf(runOf("Tuesday"), [result("b", 8)], { names: ["a", "b"], before: first });
  const third = recordOf(runOf("Friday"), [result("c", 1)], {
    names: ["c", "a", "b"],
    before: again,
  });
  expect(third.cases.map(({ name, taken }) => [name, taken?.date])).toEqual([
    ["c", undefined],
    ["a", "Monday"],
    ["b", "Tuesday"],
  ]);
});

test("a record written → read again, rounded to six digits; none where none was written", () => {
  const folder = mkdtempSync(join(tmpdir(), "queztl-record-"));
  try {
    const file = join(folder, "results", "work.json");
    expect(readRecord(file)).toBeUndefined();
    writeRecord(
      file,
      recordOf(runOf("Monday"), [result("a", 1 / 3)], { names: ["a"], before: undefined }),
    );
    expect(readRecord(file)?.cases[0]?.peers[0]).toMatchObject({ median: 0.333333 });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
