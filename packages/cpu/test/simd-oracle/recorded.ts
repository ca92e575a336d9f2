/** Answers of an AMD Zen 4 processor to the instances of the test, for hosts without the native harness. */
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, brotliDecompressSync, constants } from "node:zlib";
import { PARTS, instances } from "./differences.ts";
import { VARIANTS } from "./instances.ts";
import { Field } from "./layout.ts";

const RECORDED = join(import.meta.dirname, "recorded.br");
const DIGEST_BYTES = 32;

/** Instances of each form that are recorded. */
const COUNT = 30;

/** The instances that are recorded, which are also those of the test. */
export const recordedInstances = (): Uint8Array => instances(VARIANTS, COUNT, 1);

const digestOf = (before: Uint8Array): Uint8Array => createHash("sha256").update(before).digest();

/** Each byte that is compared, less what the instance had there, so that little is left. */
export function difference(before: Uint8Array, after: Uint8Array): Uint8Array {
  const result = new Uint8Array(before.length);
  for (let start = 0; start < before.length; start += Field.RecordLength) {
    for (const { at, size } of PARTS) {
      for (let i = start + at; i < start + at + size; i++) {
        result[i] = (before[i] as number) ^ (after[i] as number);
      }
    }
  }
  return result;
}

/** Writes the recording. */
export function writeRecording(before: Uint8Array, after: Uint8Array): void {
  const content = Buffer.concat([digestOf(before), difference(before, after)]);
  const params = { [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS };
  writeFileSync(RECORDED, brotliCompressSync(content, { params }));
}

/**
 * The recorded state after each instance.
 * @throws Error if the recording is of other instances
 */
export function readRecording(before: Uint8Array): Uint8Array {
  const content = brotliDecompressSync(readFileSync(RECORDED));
  if (!digestOf(before).every((byte, i) => byte === content[i])) {
    throw new Error("the recording is of other instances: run record.ts on an AMD processor");
  }
  return difference(before, content.subarray(DIGEST_BYTES));
}
