import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeOutcomes, encodeInstances } from "./layout.ts";
import type { Instance, Outcome } from "./layout.ts";

const SOURCE = join(import.meta.dirname, "host-oracle.c");
const FLAGS = "-O1 -fno-stack-protector -fcf-protection=none -mfsgsbase -mgeneral-regs-only";

/** Builds the harness, or answers undefined where it cannot run. */
function compileHarness(): string | undefined {
  if (process.arch !== "x64" || process.platform !== "linux") return undefined;
  const processor = readFileSync("/proc/cpuinfo", "utf8");
  // The processors of the recording, Zen 3 and Zen 4: others differ in what the manuals leave open.
  if (!/AuthenticAMD\s+cpu family\s*: 25\s/.test(processor)) return undefined;
  if (!/^flags\s*:.*\bfsgsbase\b/m.test(processor)) return undefined;
  const digest = createHash("sha256").update(readFileSync(SOURCE)).digest("hex").slice(0, 16);
  const binary = join(tmpdir(), `queztl-instruction-oracle-${digest}`);
  if (existsSync(binary)) return binary;
  const built = join(mkdtempSync(join(tmpdir(), "queztl-instruction-oracle-")), "host-oracle");
  if (spawnSync("gcc", [...FLAGS.split(" "), "-o", built, SOURCE]).status !== 0) return undefined;
  renameSync(built, binary);
  return binary;
}

/** Path of the native harness; undefined where only recorded answers can be had. */
export const harness: string | undefined =
  process.env["QUEZTL_RECORDED_ORACLE"] === undefined ? compileHarness() : undefined;

/** The output file of the harness for some instances, as it writes it. */
export function askHostRaw(image: Uint8Array, instances: readonly Instance[]): Uint8Array {
  if (harness === undefined) throw new Error("this host cannot run the native harness");
  const folder = mkdtempSync(join(tmpdir(), "queztl-instances-"));
  try {
    const input = join(folder, "input");
    const output = join(folder, "output");
    writeFileSync(input, encodeInstances(image, instances));
    const { status, stderr } = spawnSync(harness, [input, output]);
    if (status !== 0) throw new Error(`the native harness failed: ${status} ${String(stderr)}`);
    return readFileSync(output);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What the host's processor makes of each instance. */
export function askHost(image: Uint8Array, instances: readonly Instance[]): Outcome[] {
  const vectors = instances[0]?.vectors !== undefined;
  return decodeOutcomes(askHostRaw(image, instances), vectors);
}
