import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, renameSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Field } from "./layout.ts";

const SOURCE = join(import.meta.dirname, "simd-oracle.c");

const processor =
  process.arch === "x64" && process.platform === "linux"
    ? readFileSync("/proc/cpuinfo", "utf8")
    : "";

function compileHarness(): { readonly path: string } | { readonly missing: string } {
  if (processor === "") return { missing: "the host is no x86-64 Linux" };
  // The processors of the recording, Zen 3 and later: others differ in what the manuals leave open.
  if (!processor.includes("AuthenticAMD")) return { missing: "the host's processor is not AMD's" };
  const lacking = ["sse4_2", "clwb", "clflushopt"].find((feature) => !processor.includes(feature));
  if (lacking !== undefined) return { missing: `the host's processor lacks ${lacking}` };
  const digest = createHash("sha256").update(readFileSync(SOURCE)).digest("hex").slice(0, 16);
  const path = join(tmpdir(), `queztl-simd-oracle-${digest}`);
  if (existsSync(path)) return { path };
  const built = join(mkdtempSync(join(tmpdir(), "queztl-simd-oracle-")), "simd-oracle");
  const { status } = spawnSync("gcc", ["-O1", "-o", built, SOURCE]);
  if (status !== 0) return { missing: "gcc does not build the harness" };
  renameSync(built, path);
  return { path };
}

/** The native harness, or why there is none and recorded answers have to stand in. */
export const harness =
  process.env["QUEZTL_RECORDED_ORACLE"] === undefined
    ? compileHarness()
    : { missing: "recorded answers are asked for" };

/** What the host's processor does with each record. */
export function askHost(records: Uint8Array): Uint8Array {
  if ("missing" in harness) throw new Error(harness.missing);
  const { stdout, status } = spawnSync(harness.path, [], {
    input: records,
    maxBuffer: records.length + 1024,
  });
  if (status !== 0 || stdout.length !== records.length) {
    const done = stdout.length / Field.RecordLength;
    throw new Error(`the harness stopped after ${done} instructions, status ${status}`);
  }
  return stdout;
}
