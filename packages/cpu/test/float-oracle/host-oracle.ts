/**
 * The host's own processor as the oracle: host-oracle.c executes each case natively. Elsewhere, and on
 * processors of another make than the recorded one, the recorded answers stand in.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliCompressSync, brotliDecompressSync, constants } from "node:zlib";
import type { F80 } from "../../src/float/format.ts";

const RECORD = 320;
const SOURCE = join(import.meta.dirname, "host-oracle.c");
const RECORDED = join(import.meta.dirname, "recorded.br");

/** Processor state before an instruction; what is left out is zero, or the reset value. */
export interface HostCase {
  readonly code: readonly number[];
  readonly rax?: bigint;
  readonly eflags?: number;
  readonly mxcsr?: number;
  readonly controlWord?: number;
  readonly statusWord?: number;
  /** Abridged tags by physical register. */
  readonly tags?: number;
  /** ST(0) upwards. */
  readonly st?: readonly F80[];
  /** Low and high halves of XMM0, XMM1, XMM2. */
  readonly xmm?: readonly bigint[];
  readonly memory?: Uint8Array;
}

/** Processor state after it. */
export interface HostAnswer {
  /** Signal number: 8 for a floating-point fault. */
  readonly fault: number;
  readonly rax: bigint;
  readonly eflags: number;
  readonly mxcsr: number;
  readonly controlWord: number;
  readonly statusWord: number;
  readonly tags: number;
  readonly st: readonly F80[];
  readonly xmm: readonly bigint[];
  readonly memory: Uint8Array;
}

/** A case and the judge of its answer: undefined, or the difference in words. */
export interface Trial {
  readonly hostCase: HostCase;
  readonly check: (answer: HostAnswer) => string | undefined;
}

/** One instruction's trials; the same count gives the same ones. */
export interface Group {
  readonly name: string;
  readonly generate: (count: number) => Trial[];
}

function encode(cases: readonly HostCase[]): Uint8Array {
  const bytes = new Uint8Array(cases.length * RECORD);
  const view = new DataView(bytes.buffer);
  cases.forEach((item, index) => {
    const at = index * RECORD;
    bytes[at] = item.code.length;
    bytes.set(item.code, at + 1);
    view.setBigUint64(at + 16, item.rax ?? 0n, true);
    view.setUint32(at + 24, item.eflags ?? 0, true);
    view.setUint32(at + 28, item.mxcsr ?? 0x1f80, true);
    view.setUint16(at + 32, item.controlWord ?? 0x37f, true);
    view.setUint16(at + 34, item.statusWord ?? 0, true);
    view.setUint16(at + 36, item.tags ?? 0, true);
    item.st?.forEach((value, register) => {
      view.setBigUint64(at + 56 + register * 10, value.significand, true);
      view.setUint16(at + 64 + register * 10, value.signExponent, true);
    });
    item.xmm?.forEach((value, half) => view.setBigUint64(at + 136 + half * 8, value, true));
    if (item.memory) bytes.set(item.memory, at + 184);
  });
  return bytes;
}

function decode(bytes: Uint8Array): HostAnswer[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / RECORD }, (_, index) => {
    const at = index * RECORD;
    return {
      fault: view.getUint16(at + 14, true),
      rax: view.getBigUint64(at + 16, true),
      eflags: view.getUint32(at + 24, true),
      mxcsr: view.getUint32(at + 28, true),
      controlWord: view.getUint16(at + 32, true),
      statusWord: view.getUint16(at + 34, true),
      tags: view.getUint16(at + 36, true),
      st: Array.from({ length: 8 }, (__, register) => ({
        significand: view.getBigUint64(at + 56 + register * 10, true),
        signExponent: view.getUint16(at + 64 + register * 10, true),
      })),
      xmm: Array.from({ length: 6 }, (__, half) => view.getBigUint64(at + 136 + half * 8, true)),
      memory: bytes.subarray(at + 184, at + 312),
    };
  });
}

function compileHarness(): string | undefined {
  if (process.arch !== "x64" || process.platform !== "linux") return undefined;
  const processor = readFileSync("/proc/cpuinfo", "utf8");
  // The processors of the recording, Zen 3 and Zen 4: others may differ in what the manuals leave open.
  if (!/AuthenticAMD\s+cpu family\s*: 25\s/.test(processor)) return undefined;
  const digest = createHash("sha256").update(readFileSync(SOURCE)).digest("hex").slice(0, 16);
  const binary = join(tmpdir(), `queztl-host-oracle-${digest}`);
  if (existsSync(binary)) return binary;
  const built = join(mkdtempSync(join(tmpdir(), "queztl-host-oracle-")), "host-oracle");
  if (spawnSync("gcc", ["-O1", "-o", built, SOURCE]).status !== 0) return undefined;
  renameSync(built, binary);
  return binary;
}

/** Path of the native harness, or undefined where only recorded answers can be had. */
export const harness: string | undefined =
  process.env["QUEZTL_RECORDED_ORACLE"] === undefined ? compileHarness() : undefined;

/** What the host does with each case. */
export function ask(cases: readonly HostCase[]): HostAnswer[] {
  return decode(run(encode(cases)));
}

function run(input: Uint8Array): Uint8Array {
  if (harness === undefined) throw new Error("this host cannot run the native harness");
  const { stdout, status } = spawnSync(harness, [], { input, maxBuffer: input.length + 1024 });
  if (status !== 0 || stdout.length !== input.length) {
    throw new Error(
      `the native harness stopped after ${stdout.length / RECORD} cases, status ${status}`,
    );
  }
  return stdout;
}

/** Cases of each group that are recorded. */
export const RECORDED_CASES = 30;

/** Answers as they are recorded: each byte less what the case had there, so that little is left. */
function difference(left: Uint8Array, right: Uint8Array): Uint8Array {
  return left.map((byte, index) => byte ^ (right[index] ?? 0));
}

/** Runs the groups on the host and writes the recording. */
export function record(groups: readonly Group[]): void {
  const parts = groups.map(({ generate }) => {
    const input = encode(generate(RECORDED_CASES).map(({ hostCase }) => hostCase));
    return difference(run(input), input);
  });
  const options = { params: { [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS } };
  writeFileSync(RECORDED, brotliCompressSync(Buffer.concat(parts), options));
}

/** The recorded answers to the inputs of some groups, which start at the recording's group `offset`. */
function replay(input: Uint8Array, offset: number): Uint8Array {
  const recording = brotliDecompressSync(readFileSync(RECORDED));
  const start = offset * RECORDED_CASES * RECORD;
  return difference(recording.subarray(start, start + input.length), input);
}

/**
 * Compares `count` trials of each group with the host, or fewer with the recording, where the groups start at
 * `offset`: the first few differences of each group.
 */
export function differences(groups: readonly Group[], offset: number, count: number): string[][] {
  const cases = harness === undefined ? RECORDED_CASES : count;
  const trials = groups.map(({ generate }) => generate(cases));
  const input = encode(trials.flat().map(({ hostCase }) => hostCase));
  const answers = decode(harness === undefined ? replay(input, offset) : run(input));
  let next = 0;
  return trials.map((group) => {
    const found: string[] = [];
    group.forEach(({ check }) => {
      const answer = answers[next++];
      const difference = answer && check(answer);
      if (difference !== undefined && found.length < 5) found.push(difference);
    });
    return found;
  });
}
