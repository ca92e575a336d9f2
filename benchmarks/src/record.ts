import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Machine } from "./machine.ts";
import { type GroupMean, groupMeans } from "./means.ts";
import type { CaseResult } from "./session.ts";

/** When, of what and where samples were taken. */
export interface Taken {
  readonly date: string;
  readonly commit: string;
  readonly machine: Machine;
}

/** A run of a bench. */
export interface Run extends Taken {
  readonly bench: string;
  readonly summary: string;
  readonly rounds: number;
}

/** A case's result; `taken` where it is of an earlier run than the rest. */
export type RecordedCase = CaseResult & { readonly taken?: Taken };

/** What `results/<name>.json` holds. */
export interface BenchRecord extends Run {
  readonly means: readonly GroupMean[];
  readonly cases: readonly RecordedCase[];
}

/**
 * The record of a run. Cases that did not run now are those of the record before, and say when they were taken; a case
 * whose name is no longer among the bench's is dropped. In the order of the names.
 */
export function recordOf(
  run: Run,
  results: readonly CaseResult[],
  kept: { readonly names: readonly string[]; readonly before: BenchRecord | undefined },
): BenchRecord {
  const { names, before } = kept;
  const earlier = before === undefined ? [] : casesOf(before);
  const cases = names.flatMap((name): RecordedCase[] =>
    [...results, ...earlier].filter((each) => each.name === name).slice(0, 1),
  );
  return { ...run, means: groupMeans(cases), cases };
}

function casesOf({ date, commit, machine, cases }: BenchRecord): RecordedCase[] {
  return cases.map((each) => ({ taken: { date, commit, machine }, ...each }));
}

/** The record that was written before; undefined where there is none. */
export function readRecord(file: string): BenchRecord | undefined {
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as BenchRecord) : undefined;
}

/** Writes a record; six digits are more than any measurement has. */
export function writeRecord(file: string, record: BenchRecord): void {
  const rounded = (_key: string, value: unknown): unknown =>
    typeof value === "number" ? Number(value.toPrecision(6)) : value;
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(record, rounded, 2)}\n`);
}
