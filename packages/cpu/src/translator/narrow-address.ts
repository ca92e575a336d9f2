import { Segment, SegmentCheck, SegmentField, State } from "../state/layout.ts";
import { i32, i64, unlikely } from "../wasm/index.ts";
import type { FunctionBuilder, I32, I64 } from "../wasm/index.ts";

/** Fields of the segments that are flat in 32-bit code that is translated. */
export const FLAT_FIELDS: ReadonlySet<number> = new Set(
  [Segment.Es, Segment.Ss, Segment.Ds].map((segment) => segment * SegmentField.Length),
);

/** The lower 32 bits; in 32-bit code all that is known of addresses is known of those. */
export const cut = (value: I64): I64 => {
  const kept = i64.and(value, i64.const(0xffffffffn));
  return value.relative === undefined ? kept : { ...kept, relative: value.relative };
};

/** The linear address of an offset of 32 bits in 32-bit code; one in FS, GS or CS is compared with the segment's limit. */
export function narrowAddress(
  { f, state }: { readonly f: FunctionBuilder; readonly state: I32 },
  field: number,
  offset: I64,
  access: { readonly bytes: number; readonly write: boolean },
  interpret: () => void,
): I64 {
  if (FLAT_FIELDS.has(field)) return offset;
  const at = State.Segments + field;
  const kept = f.let(offset);
  const wanted = i32.const(access.write ? SegmentCheck.Write : SegmentCheck.Read);
  const denied = i32.eqz(i32.and(i32.load(state, at + SegmentField.Checks), wanted));
  const last = i64.add(kept, i64.const(access.bytes - 1));
  const beyond = i64.gt_u(last, i64.load32_u(state, at + SegmentField.Limit));
  f.if(unlikely(i32.or(denied, beyond)), interpret);
  return i64.and(i64.add(i64.load(state, at + SegmentField.Base), kept), i64.const(0xffffffffn));
}
