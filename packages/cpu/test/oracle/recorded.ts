import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, brotliDecompressSync, constants } from "node:zlib";
import type { OpcodeEntry } from "../../src/isa/opcode-entry.ts";
import { instancesOf } from "./campaign.ts";
import type { VectorSource } from "./campaign.ts";
import { digest, formName, formsOf, usesVectors } from "./forms.ts";
import type { Form } from "./forms.ts";
import { askHostRaw } from "./host.ts";
import { OUTPUT_BYTES, VECTOR_BYTES, decodeOutcomes, encodeInstances } from "./layout.ts";
import type { Instance, Outcome } from "./layout.ts";
import { memoryImage } from "./values.ts";
import { comparesVectors, randomVectors } from "./vectors.ts";

const SEED = 2026;

/** What one file records: integer forms, or those with x87, MMX and SSE state. */
interface Kind {
  readonly file: string;
  readonly select: (entry: OpcodeEntry) => boolean;
  readonly vectors: VectorSource | undefined;
  /** Instances of each form. */
  readonly each: number;
  /** Bytes of one input and one output, equal. */
  readonly stride: number;
}

export const INTEGER: Kind = {
  file: join(import.meta.dirname, "recorded.br"),
  select: (entry) => !usesVectors(entry),
  vectors: undefined,
  each: 8,
  stride: OUTPUT_BYTES,
};

export const VECTOR: Kind = {
  file: join(import.meta.dirname, "recorded-vectors.br"),
  select: (entry) => usesVectors(entry) && comparesVectors(entry),
  vectors: randomVectors,
  each: 4,
  stride: OUTPUT_BYTES + VECTOR_BYTES,
};

export type Recorded = { form: Form; instance: Instance }[];

function instancesOfForm(form: Form, { each, vectors }: Kind): Recorded {
  return instancesOf([form], SEED, 0, each, vectors);
}

/** The instances as the harness would get them. */
const inputOf = (list: Recorded): Uint8Array =>
  encodeInstances(
    new Uint8Array(0),
    list.map(({ instance }) => instance),
  );

/**
 * Exclusive-ors outcomes with the instances' own state, so that little but zeros is left: rflags, registers and FS
 * and GS bases, at 24 in both layouts, and the vector state behind.
 */
function exchange(bytes: Uint8Array, list: Recorded, { stride }: Kind): Uint8Array {
  const input = inputOf(list);
  const start = input.length - list.length * stride;
  const out = new Uint8Array(bytes);
  list.forEach((_, index) => {
    const at = index * stride;
    const swap = (from: number, to: number): void => {
      for (let i = at + from; i < at + to; i++) {
        out[i] = (out[i] as number) ^ (input[start + i] as number);
      }
    };
    swap(24, 176);
    swap(OUTPUT_BYTES, stride);
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
export function record(kind: Kind): number {
  const forms = formsOf(kind.select);
  const lists = forms.map((form) => instancesOfForm(form, kind));
  const list = lists.flat();
  const raw = askHostRaw(
    memoryImage(),
    list.map(({ instance }) => instance),
  );
  const columns = transpose(exchange(raw, list, kind), list.length, kind.stride);
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
  writeFileSync(kind.file, packed);
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

export function readRecording(kind: Kind): Recording {
  const { each, stride } = kind;
  const bytes = new Uint8Array(brotliDecompressSync(readFileSync(kind.file)));
  const view = new DataView(bytes.buffer);
  const count = view.getUint32(0, true);
  const rows = transpose(bytes.subarray(4 + count * 8), stride, count * each);
  const places = new Map(
    Array.from({ length: count }, (_, i) => [view.getUint32(4 + i * 8, true), i] as const),
  );
  const list: Recorded = [];
  const outcomes: Outcome[] = [];
  const missing: string[] = [];
  const stale: string[] = [];
  for (const form of formsOf(kind.select)) {
    const place = places.get(nameDigest(form));
    const instances = instancesOfForm(form, kind);
    if (place === undefined) missing.push(formName(form));
    else if (view.getUint32(8 + place * 8, true) !== digest(inputOf(instances))) {
      stale.push(formName(form));
    } else {
      const at = place * each * stride;
      const answers = exchange(rows.subarray(at, at + each * stride), instances, kind);
      list.push(...instances);
      outcomes.push(...decodeOutcomes(answers, kind.vectors !== undefined));
    }
  }
  return { list, outcomes, missing, stale };
}
