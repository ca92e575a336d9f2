import { JUMP_ENTRIES, State } from "../state/layout.ts";
import { i32, i64 } from "../wasm/index.ts";
import type { FunctionBuilder, I32, I64, Place } from "../wasm/index.ts";
import { toI32 } from "../semantics/integer-ops.ts";
import { ifCode, tlbEntryOf } from "./place.ts";

/**
 * Finds the record of the instruction at a linear address through the TLB (its page may be executed) and the jump
 * table (its bytes were decoded). `found` is for where it is there; what follows is for where it is not.
 */
export function findRecord(
  f: FunctionBuilder,
  state: I32,
  linear: I64,
  found: (record: I32) => void,
): void {
  const entry = f.let(tlbEntryOf(i32.load(state, State.Tlb), linear));
  ifCode(f, linear, entry, (place) => {
    const host = f.let(place);
    const low = toI32(host);
    const slot = i32.and(i32.xor(low, i32.shr_u(low, i32.const(13))), i32.const(JUMP_ENTRIES - 1));
    const jump = f.let(i32.add(i32.load(state, State.Jumps), i32.shl(slot, i32.const(3))));
    f.if(i32.eq(i32.load(jump), jumpTag(host)), () => found(i32.load(jump, 4)));
  });
}

/** What a jump table's entry is compared with: `jumpTagOf` in WebAssembly. */
const jumpTag = (host: Place): I32 =>
  host.type === "i64" ? i32.wrap_i64(i64.shr_u(host, i64.const(16))) : host;
