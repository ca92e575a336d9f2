import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { syntheticTrace } from "../replay/testing/synthetic-trace.ts";
import { runCommand } from "./main.ts";

const folder = mkdtempSync(join(tmpdir(), "queztl-brain-"));
const file = join(folder, "trace.csv");

beforeAll(() => {
  const rows = syntheticTrace(80, 4).map((task) =>
    [
      task.trace,
      task.family,
      task.inputBytes,
      task.peakMib,
      task.runtimeSeconds,
      task.requestMib ?? "",
      task.startSeconds,
      task.endSeconds,
    ].join(","),
  );
  const header = "trace,family,input_bytes,peak_mib,runtime_s,request_mib,start_s,end_s";
  writeFileSync(file, [header, ...rows, ""].join("\n"));
});

afterAll(() => rmSync(folder, { recursive: true }));

describe("queztl-brain replay", () => {
  test("--json with two policies → one row for each with the six figures", async () => {
    const args = ["replay", "--trace", file, "--policy", "brain", "--policy", "vpa", "--json"];
    const { output, exitCode } = await runCommand(args);
    const { results } = JSON.parse(output) as { results: Record<string, unknown>[] };
    expect(exitCode).toBe(0);
    expect(results.map(({ policy }) => policy)).toEqual(["brain", "vpa"]);
    for (const row of results) {
      expect(Object.keys(row)).toEqual([
        "trace",
        "policy",
        "tasks",
        "wasteGibHours",
        "tasksWithOom",
        "lostHours",
      ]);
      expect(row).toMatchObject({ trace: "synthetic", tasks: 80 });
    }
  });

  test("no options but a file → a table of the default policies and their ratio to VPA", async () => {
    const { output } = await runCommand(["replay", "--trace", file]);
    for (const policy of ["brain", "request", "vpa", "vpa-p99", "witt"]) {
      expect(output).toMatch(new RegExp(`^synthetic +${policy} +80 `, "m"));
    }
    expect(output).toContain("waste / vpa, geometric mean");
    expect(output).toMatch(/^vpa +80 .* 1\.000$/m);
  });

  test("two files of one trace → their tasks together", async () => {
    const args = ["replay", "--trace", file, file, "--policy", "request", "--json"];
    const { output } = await runCommand(args);
    const { results } = JSON.parse(output) as { results: { tasks: number }[] };
    expect(results[0]?.tasks).toBe(160);
  });

  test.each([
    [["replay"], "QZ_BRAIN_USAGE"],
    [["replay", "--trace", join(folder, "none.csv")], "QZ_BRAIN_USAGE"],
    [["replay", "--trace", file, "--ttf", "0"], "QZ_BRAIN_USAGE"],
    [["replay", "--trace", file, "--ttf", "2"], "QZ_BRAIN_USAGE"],
    [["replay", "--trace", file, "--feedback", "never"], "QZ_BRAIN_USAGE"],
    [["replay", "--trace", file, "--first", "1.5"], "QZ_BRAIN_USAGE"],
    [["replay", "--trace", file, "--nonsense"], "QZ_BRAIN_USAGE"],
    [["replay", "--trace", file, "--policy", "magic"], "QZ_BRAIN_POLICY_UNKNOWN"],
    [["guess"], "QZ_BRAIN_USAGE"],
  ])("%j → exit 2 and %s", async (args, code) => {
    const { error, exitCode, output } = await runCommand(args);
    expect({ exitCode, output }).toEqual({ exitCode: 2, output: "" });
    expect(error).toMatch(new RegExp(`^${code}: `));
  });

  test("--help → how to use it", async () => {
    expect((await runCommand(["replay", "--help"])).output).toContain("--feedback");
    expect((await runCommand([])).output).toContain("replay");
  });
});
