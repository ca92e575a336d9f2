/** Compares the emulated processor with the host's on random instances. */
import { Random } from "../float-oracle/operands.ts";
import type { Guest } from "./guest.ts";
import { writeInstance } from "./instances.ts";
import type { Variant } from "./instances.ts";
import { Field, Fxsave } from "./layout.ts";

/** A piece of a record. */
export interface Part {
  readonly name: string;
  readonly at: number;
  readonly size: number;
}

const part = (name: string, at: number, size: number): Part => ({ name, at, size });
const V = Field.Vectors;

/** What of the state after is compared. */
export const PARTS: readonly Part[] = [
  part("fault", Field.Fault, 1),
  part("flags", Field.Flags, 8),
  ...Array.from({ length: 16 }, (_, i) => part(`register ${i}`, Field.Registers + 8 * i, 8)),
  ...Array.from({ length: 16 }, (_, i) => part(`xmm${i}`, V + Fxsave.Xmm + 16 * i, 16)),
  ...Array.from({ length: 8 }, (_, i) => part(`st${i}`, V + Fxsave.St + 16 * i, 10)),
  part("x87 status", V + Fxsave.Status, 2),
  part("tags", V + Fxsave.Tags, 1),
  part("mxcsr", V + Fxsave.Mxcsr, 2),
  part("memory", Field.Memory, 64),
];

/** A number, most significant byte first. */
function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.toReversed()).toString("hex");
}

function describe(before: Uint8Array, host: Uint8Array, guest: Uint8Array): string | undefined {
  const found: string[] = [];
  for (const { name, at, size } of PARTS) {
    const wanted = host.subarray(at, at + size);
    const got = guest.subarray(at, at + size);
    if (Buffer.compare(wanted, got) === 0) continue;
    const old = hex(before.subarray(at, at + size));
    found.push(`${name} ${old} → processor ${hex(wanted)}, emulator ${hex(got)}`);
  }
  if (found.length === 0) return undefined;
  const length = before[Field.Length] as number;
  const code = Buffer.from(before.subarray(Field.Code, Field.Code + length)).toString("hex");
  const mxcsr = hex(before.subarray(V + Fxsave.Mxcsr, V + Fxsave.Mxcsr + 4));
  const fault = host[Field.Fault];
  return `${code} mxcsr ${mxcsr} fault ${fault}: ${found.join("; ")}`;
}

/** What was found, by variant. */
export interface Comparison {
  readonly executed: number;
  readonly faults: number;
  /** The first few differences. */
  readonly differences: readonly string[];
}

/** `count` random instances of each variant, one record after the other; the same seed gives the same ones. */
export function instances(variants: readonly Variant[], count: number, seed: number): Uint8Array {
  const size = Field.RecordLength;
  const records = new Uint8Array(variants.length * count * size);
  variants.forEach((variant, v) => {
    const random = new Random(seed * 7919 + v * 2 + 1);
    for (let i = 0; i < count; i++) {
      const at = (v * count + i) * size;
      writeInstance(variant, records.subarray(at, at + size), random);
    }
  });
  return records;
}

/** Compares what a processor made of `instances(variants, …)` with what the emulated one makes of them. */
export function compare(
  variants: readonly Variant[],
  before: Uint8Array,
  after: Uint8Array,
  guest: Guest,
): Comparison[] {
  const size = Field.RecordLength;
  const count = before.length / size / variants.length;
  const record = new Uint8Array(size);
  return variants.map((variant, v) => {
    const differences: string[] = [];
    let faults = 0;
    for (let i = 0; i < count; i++) {
      const at = (v * count + i) * size;
      const given = before.subarray(at, at + size);
      const wanted = after.subarray(at, at + size);
      record.set(given);
      guest.run(record);
      if (wanted[Field.Fault] !== 0) faults++;
      const difference = describe(given, wanted, record);
      if (difference !== undefined && differences.length < 3) {
        differences.push(`${variant.name}: ${difference}`);
      }
    }
    return { executed: count, faults, differences };
  });
}
