import { CODE_TLB, TlbEntry } from "../state/layout.ts";
import { i32, i64, likely } from "../wasm/index.ts";
import type { FunctionBuilder, I32, I64, Place } from "../wasm/index.ts";

/** Takes bits 12–23 of a linear address, shifted right by 7, to an entry's offset in the TLB. */
const INDEX_MASK = 0x1ffe0;

/** The TLB's entry for a linear address. */
export function tlbEntryOf(tlb: I32, linear: I64): I32 {
  return i32.add(
    tlb,
    i32.and(i32.shr_u(i32.wrap_i64(linear), i32.const(7)), i32.const(INDEX_MASK)),
  );
}

/** The place of a linear address in generated code, by the TLB entry that translates it. */
export function placeOf(f: FunctionBuilder, linear: I64, entry: I32, table = 0): Place {
  const addend = table + TlbEntry.Addend;
  if (f.wide) return i64.add(linear, i64.load(entry, addend));
  return i32.add(i32.wrap_i64(linear), i32.load(entry, addend));
}

/** Goes on with the place of an address of code, by the entry of data at the same index, if its page may be executed. */
export function ifCode(
  f: FunctionBuilder,
  linear: I64,
  entry: I32,
  then: (place: Place) => void,
): void {
  const tag = i64.load(entry, CODE_TLB + TlbEntry.Execute);
  f.if(likely(i64.eq(tag, i64.and(linear, i64.const(-4096)))), () =>
    then(placeOf(f, linear, entry, CODE_TLB)),
  );
}

/** Whether a place is at an offset of its memory. */
export const isAt = (place: Place, offset: number): I32 =>
  place.type === "i64"
    ? i64.eq(place, i64.const(BigInt(offset)))
    : i32.eq(place, i32.const(offset));
