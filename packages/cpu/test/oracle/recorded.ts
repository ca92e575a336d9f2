import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, brotliDecompressSync, constants } from "node:zlib";
import { instancesOf } from "./campaign.ts";
import { digest, formName, formsOf, usesVectors } from "./forms.ts";
import type { Form } from "./forms.ts";
import { askHostRaw } from "./host.ts";
import { OUTPUT_BYTES, decodeOutcomes, encodeInstances } from "./layout.ts";
import type { Instance, Outcome } from "./layout.ts";
import { memoryImage } from "./values.ts";

const FILE = join(import.meta.dirname, "recorded.br");
const SEED = 2026;
/** Instances of each form. */
const EACH = 8;

export type Recorded = { form: Form; instance: Instance }[];

function instancesOfForm(form: Form): Recorded {
  return instancesOf([form], SEED, 0, EACH);
}

/** The instances as the harness would get them. */
const inputOf = (list: Recorded): Uint8Array =>
  encodeInstances(
    new Uint8Array(0),
    list.map(({ instance }) => instance),
  );

/**
 * Exclusive-ors outcomes with the instances' own state, so that little but zeros is left: rflags, registers and FS
 * and GS bases, at 24 in both layouts.
 */
function exchange(bytes: Uint8Array, list: Recorded): Uint8Array {
  const input = inputOf(list);
  const start = input.length - list.length * OUTPUT_BYTES;
  const out = new Uint8Array(bytes);
  list.forEach((_, index) => {
    const at = index * OUTPUT_BYTES;
    for (let i = at + 24; i < at + 176; i++) {
      out[i] = (out[i] as number) ^ (input[start + i] as number);
    }
  });
  return out;
}

function transpose(bytes: Uint8Array, rows: number, columns: number): Uint8Array {
  const out = new Uint8Array(bytes.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      out[column * rows + row] = bytes[row * columns + column] as number;
    }
  }
  return out;
}

const nameDigest = (form: Form): number => digest(new TextEncoder().encode(formName(form)));

/**
 * Asks the host and writes the recording: the number of forms; for each the digests of its name and of its
 * instances; the outcomes of all instances, byte by byte in columns.
 * @returns its size.
 */
export function record(): number {
  const forms = formsOf((entry) => !usesVectors(entry));
  const lists = forms.map(instancesOfForm);
  const list = lists.flat();
  const raw = askHostRaw(
    memoryImage(),
    list.map(({ instance }) => instance),
  );
  const columns = transpose(exchange(raw, list), list.length, OUTPUT_BYTES);
  const bytes = new Uint8Array(4 + forms.length * 8 + columns.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, forms.length, true);
  forms.forEach((form, index) => {
    view.setUint32(4 + index * 8, nameDigest(form), true);
    view.setUint32(8 + index * 8, digest(inputOf(lists[index] as Recorded)), true);
  });
  bytes.set(columns, 4 + forms.length * 8);
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: 11,
    [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
  };
  const packed = brotliCompressSync(bytes, { params });
  writeFileSync(FILE, packed);
  return packed.length;
}

/** What is recorded for the forms that exist now. */
export interface Recording {
  readonly list: Recorded;
  readonly outcomes: readonly Outcome[];
  /** Forms that are not recorded, and forms whose instances have changed since: record again. */
  readonly missing: readonly string[];
  readonly stale: readonly string[];
}

export function readRecording(): Recording {
  const bytes = new Uint8Array(brotliDecompressSync(readFileSync(FILE)));
  const view = new DataView(bytes.buffer);
  const count = view.getUint32(0, true);
  const rows = transpose(bytes.subarray(4 + count * 8), OUTPUT_BYTES, count * EACH);
  const places = new Map(
    Array.from({ length: count }, (_, i) => [view.getUint32(4 + i * 8, true), i] as const),
  );
  const list: Recorded = [];
  const outcomes: Outcome[] = [];
  const missing: string[] = [];
  const stale: string[] = [];
  for (const form of formsOf((entry) => !usesVectors(entry))) {
    const place = places.get(nameDigest(form));
    const instances = instancesOfForm(form);
    if (place === undefined) missing.push(formName(form));
    else if (view.getUint32(8 + place * 8, true) !== digest(inputOf(instances))) {
      stale.push(formName(form));
    } else {
      const at = place * EACH * OUTPUT_BYTES;
      const answers = rows.subarray(at, at + EACH * OUTPUT_BYTES);
      list.push(...instances);
      outcomes.push(...decodeOutcomes(exchange(answers, instances), false));
    }
  }
  return { list, outcomes, missing, stale };
}
