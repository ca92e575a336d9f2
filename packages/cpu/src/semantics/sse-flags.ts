import { i32, i64, select } from "../wasm/index.ts";
import type { I32 } from "../wasm/index.ts";
import type { InstructionContext } from "./context.ts";

/** PF is the parity of the result's low byte, exclusive-ored with this byte: odd, so PF is clear. */
const ODD = 0x100;

/** ZF and CF from two conditions, the four other status flags clear (PTEST, COMISS of ordered values). */
export function setComparison(s: InstructionContext, zero: I32, carry: I32): void {
  const { f } = s;
  const zf = f.let(zero);
  const cf = f.let(carry);
  s.setFlagResult(i64.shl(i64.extend_i32_u(i32.eqz(zf)), i64.const(8)));
  // Both bits set: CF with OF clear.
  s.setFlagCarries(i32.const(ODD), select(cf, i32.const(0xc0000000 | 0), i32.const(0)));
}
