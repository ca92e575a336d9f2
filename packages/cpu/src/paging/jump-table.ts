import { JUMP_ENTRY_BYTES, JUMP_SETS, JUMP_SET_BYTES, State } from "../state/layout.ts";
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
    const number = i32.xor(i32.shr_u(low, i32.const(3)), i32.shr_u(low, i32.const(16)));
    const set = i32.mul(i32.and(number, i32.const(JUMP_SETS - 1)), i32.const(JUMP_SET_BYTES));
    const first = f.let(i32.add(i32.load(state, State.Jumps), set));
    const tag = f.let(jumpTag(host));
    for (let at = 0; at < JUMP_SET_BYTES; at += JUMP_ENTRY_BYTES) {
      f.if(i32.eq(i32.load(first, at), tag), () => found(i32.load(first, at + 4)));
    }
  });
}

/** What a jump table's entry is compared with: `jumpTagOf` in WebAssembly. */
const jumpTag = (host: Place): I32 =>
  host.type === "i64"
    ? i32.or(
        i32.shl(i32.wrap_i64(i64.shr_u(host, i64.const(16))), i32.const(3)),
        i32.and(i32.wrap_i64(host), i32.const(7)),
      )
    : host;
