import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

import { fault } from "../errors.ts";
import { createPolicy, policyNames } from "../replay/policies.ts";
import { replay, type ReplayOptions } from "../replay/replay.ts";
import { type ReplayRow, summarise } from "../replay/summary.ts";
import { parseTraces, type TraceTask } from "../replay/trace.ts";

export const replayHelp = `Usage: queztl-brain replay --trace FILE.csv… [options]

Runs recorded tasks against memory policies and prints what each would have wasted.

  --trace FILE       CSV with the columns trace,family,input_bytes,peak_mib,runtime_s,request_mib,
                     start_s,end_s; may be repeated, and more files may follow
  --policy NAME      ${policyNames.join(", ")};
                     may be repeated (default: brain, request, vpa, vpa-p99, witt)
  --ttf SHARE        the part of its run after which an under-sized attempt dies (default 1)
  --feedback MODE    delayed (default): results are known when tasks end; immediate: at their start
  --first COUNT      count only the first COUNT tasks of each family
  --json             print JSON: { results: [{ trace, policy, tasks, wasteGibHours, tasksWithOom, lostHours }] }`;

const DEFAULT_POLICIES = ["brain", "request", "vpa", "vpa-p99", "witt"];

/** `queztl-brain replay`: returns what to print. */
export function replayCommand(args: readonly string[]): string {
  const { values, positionals } = parsed(args);
  if (values.help === true) return replayHelp;
  const files = [...(values.trace ?? []), ...positionals];
  if (files.length === 0) throw fault("QZ_BRAIN_USAGE", { problem: "no --trace FILE is given" });
  const options = replayOptions(values.ttf, values.feedback, values.first);
  const traces = readTraces(files);
  const rows: ReplayRow[] = [];
  for (const policy of new Set(values.policy ?? DEFAULT_POLICIES)) {
    for (const [trace, tasks] of traces) {
      const { decisions: _, ...figures } = replay(tasks, createPolicy(policy), options);
      rows.push({ trace, policy, ...figures });
    }
  }
  return values.json === true ? JSON.stringify({ results: rows }, null, 2) : table(rows);
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        trace: { type: "string", multiple: true },
        policy: { type: "string", multiple: true },
        ttf: { type: "string" },
        feedback: { type: "string" },
        first: { type: "string" },
        json: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message.replace(/\.?$/, "") : String(cause);
    throw fault("QZ_BRAIN_USAGE", { problem }, { cause });
  }
}

function replayOptions(ttf = "1", feedback = "delayed", first?: string): ReplayOptions {
  const timeToFailure = Number(ttf);
  if (!(timeToFailure > 0 && timeToFailure <= 1)) {
    throw fault("QZ_BRAIN_USAGE", { problem: "--ttf must be above 0 and at most 1" });
  }
  if (feedback !== "delayed" && feedback !== "immediate") {
    throw fault("QZ_BRAIN_USAGE", { problem: "--feedback must be delayed or immediate" });
  }
  if (first === undefined) return { timeToFailure, feedback };
  const firstOfFamily = Number(first);
  if (!Number.isInteger(firstOfFamily) || firstOfFamily < 1) {
    throw fault("QZ_BRAIN_USAGE", { problem: "--first must be a whole number of at least 1" });
  }
  return { timeToFailure, feedback, firstOfFamily };
}

function readTraces(files: readonly string[]): Map<string, TraceTask[]> {
  const traces = new Map<string, TraceTask[]>();
  for (const file of files) {
    let csv: string;
    try {
      csv = readFileSync(file, "utf8");
    } catch (cause) {
      throw fault("QZ_BRAIN_USAGE", { problem: `${file} cannot be read` }, { cause });
    }
    for (const [trace, tasks] of parseTraces(csv, file)) {
      const all = [...(traces.get(trace) ?? []), ...tasks];
      traces.set(
        trace,
        all.sort((a, b) => a.startSeconds - b.startSeconds),
      );
    }
  }
  return traces;
}

function table(rows: readonly ReplayRow[]): string {
  const number = (value: number) => value.toFixed(value < 100 ? 2 : 0);
  const lines = [["trace", "policy", "tasks", "waste GiB·h", "tasks with OOM", "hours lost"]];
  for (const row of rows) {
    lines.push([
      row.trace,
      row.policy,
      String(row.tasks),
      number(row.wasteGibHours),
      String(row.tasksWithOom),
      number(row.lostHours),
    ]);
  }
  const totals = [
    [
      "all traces",
      "tasks",
      "waste GiB·h",
      "tasks with OOM",
      "hours lost",
      "waste / vpa, geometric mean",
    ],
  ];
  for (const sum of summarise(rows, "vpa")) {
    const [low, high] = sum.ratioInterval ?? [];
    const range =
      low === undefined || high === undefined ? "" : ` [${low.toFixed(2)}, ${high.toFixed(2)}]`;
    totals.push([
      sum.policy,
      String(sum.tasks),
      number(sum.wasteGibHours),
      String(sum.tasksWithOom),
      number(sum.lostHours),
      sum.ratio === undefined ? "-" : `${sum.ratio.toFixed(3)}${range}`,
    ]);
  }
  return `${aligned(lines)}\n\n${aligned(totals)}`;
}

function aligned(lines: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const line of lines) {
    for (const [i, cell] of line.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  }
  return lines
    .map((line) =>
      line
        .map((cell, i) => cell.padEnd(widths[i] as number))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
