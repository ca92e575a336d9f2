import { Record } from "../state/record.ts";
import type { Region } from "./collect-region.ts";

/** Instructions that are about the lowest double of their XMM operands. */
const SCALAR = new Set("addsd subsd mulsd divsd sqrtsd minsd maxsd movsd comisd ucomisd cvtsi2sd cvtsd2si cvttsd2si cvtss2sd cvtsd2ss".split(" ")); // prettier-ignore
/** Instructions that are as well done with two doubles as with a vector. */
const NEUTRAL = new Set(
  "movaps movapd movdqa movups movupd movdqu movq pxor xorps xorpd".split(" "),
);

/** The XMM registers, by their offset from `State.Xmm`, that a region uses for numbers of double precision in the first place. */
export function scalarDoubles(region: Region, view: DataView): ReadonlySet<number> {
  const balance = new Map<number, number>();
  for (const { steps } of region.blocks) {
    for (const { shape, record } of steps) {
      const weight = SCALAR.has(shape.name) ? 1 : NEUTRAL.has(shape.name) ? 0 : -2;
      shape.operands.forEach((operand, i) => {
        if (operand.class !== "xmm") return;
        const register = view.getUint8(record + Record.A + i);
        balance.set(register, (balance.get(register) ?? 0) + weight);
      });
    }
  }
  return new Set([...balance].filter(([, sum]) => sum > 0).map(([register]) => register));
}
