import type { Core } from "../core.ts";
import type { Helpers } from "../execute/helper.ts";
import type { MicroOp } from "../execute/micro-op.ts";
import { State } from "../state/layout.ts";
import { simdFloatHelpers } from "./simd-float.ts";
import { simdStringHelpers } from "./simd-strings.ts";

/** The polynomial 0x11edc6f41 with its bits reversed, by byte. */
const CRC32C = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (0x82f63b78 & -(remainder & 1));
  return remainder;
});

/** CRC32 (Intel SDM vol. 2): the source's bytes into the checksum in the destination. */
function crc32(cpu: Core, op: MicroOp): void {
  const { view, state } = cpu;
  const bytes = op.entry.operands[1]?.width === "b" ? 1 : op.operandSize / 8;
  const at = state + op.field(0);
  const source = state + State.VectorSource;
  let remainder = view.getUint32(at, true);
  for (let i = 0; i < bytes; i++) {
    const byte = (remainder ^ view.getUint8(source + i)) & 0xff;
    remainder = (remainder >>> 8) ^ (CRC32C[byte] as number);
  }
  view.setUint32(at, remainder, true);
  view.setUint32(at + 4, 0, true);
}

/** MMX, SSE and CRC32 instructions that are too intricate to be described, or that may raise an exception. */
export const simdHelpers: Helpers = { ...simdFloatHelpers, ...simdStringHelpers, crc32 };
