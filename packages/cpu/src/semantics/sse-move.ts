import { i32x4, i64x2, i8x16, v128 } from "../wasm/index.ts";
import type { Description, Descriptions, InstructionContext } from "./context.ts";
import { toI64 } from "./integer-ops.ts";
import { ZERO, lowHalf, source, vector, write } from "./vector-operands.ts";

function whole(aligned: boolean, group: "main" | "vector"): Description {
  return vector((s) => s.setVector(0, s.getVector(1, aligned), aligned), group);
}

const alignedMove = whole(true, "main");
const unalignedMove = whole(false, "main");
const streamingMove = whole(true, "vector");

const inMemory = (s: InstructionContext, operand: number): boolean =>
  s.shape.operands[operand]?.class === "memory";

/** MOVSS and MOVSD: a load clears the rest of the register, a move between registers keeps it. */
function scalarMove(width: 32 | 64): Description {
  return vector((s) => {
    const value = s.getFloat(1, width === 64 ? "f64" : "f32");
    if (inMemory(s, 1)) s.setFloatAlone(0, value);
    else s.setFloat(0, value);
  }, "main");
}

/** Between memory and the low half of a register, or from one half to the other. */
const lowMove = vector((s) => s.setLow(0, 64, s.getLow(1, 64)));

const highMove = vector((s) => {
  if (inMemory(s, 0)) s.setLow(0, 64, i64x2.extract_lane(s.getVector(1), 1));
  else {
    const value = s.f.let(toI64(s.getLow(1, 64)));
    s.setVector(0, i64x2.replace_lane(s.getVector(0), 1, value));
  }
});

/** Moves of whole and partial vector registers (Intel SDM vol. 1, 5.4–5.8). */
export const sseMove: Descriptions = {
  movaps: alignedMove,
  movapd: alignedMove,
  movdqa: alignedMove,
  movups: unalignedMove,
  movupd: unalignedMove,
  movdqu: unalignedMove,
  lddqu: whole(false, "vector"),
  movntps: streamingMove,
  movntpd: streamingMove,
  movntdq: streamingMove,
  movntdqa: streamingMove,
  movntq: lowMove,
  movss: scalarMove(32),
  movsd: scalarMove(64),
  movlps: lowMove,
  movlpd: lowMove,
  movhps: highMove,
  movhpd: highMove,
  movlhps: highMove,
  movhlps: vector((s) => s.setLow(0, 64, i64x2.extract_lane(s.getVector(1), 1))),
  movddup: vector((s) => s.setVector(0, i64x2.splat(toI64(s.getLow(1, 64))))),
  movsldup: vector((s) => {
    const b = s.f.let(source(s, 1));
    write(s, v128.shuffle(b, b, [0, 1, 2, 3, 0, 1, 2, 3, 8, 9, 10, 11, 8, 9, 10, 11]));
  }),
  movshdup: vector((s) => {
    const b = s.f.let(source(s, 1));
    write(s, v128.shuffle(b, b, [4, 5, 6, 7, 4, 5, 6, 7, 12, 13, 14, 15, 12, 13, 14, 15]));
  }),
  // MOVD and MOVQ between general and vector registers, which they fill up with zeros.
  movd: vector((s) => {
    const width = s.shape.size === 64 ? 64 : 32;
    const kind = s.shape.operands[0]?.class;
    if (kind === "mmx") s.setLow(0, 64, toI64(s.get(1)));
    else if (kind === "xmm") s.setVector(0, i64x2.replace_lane(ZERO, 0, toI64(s.get(1))));
    else s.set(0, s.getLow(1, width));
  }, "main"),
  movq: vector((s) => {
    if (s.shape.operands[0]?.class === "xmm") s.setVector(0, lowHalf(s, 1));
    else s.setLow(0, 64, s.getLow(1, 64));
  }, "main"),
  movq2dq: vector((s) => s.setVector(0, lowHalf(s, 1))),
  movdq2q: vector((s) => s.setLow(0, 64, s.getLow(1, 64))),
  movmskps: vector((s) => s.set(0, i32x4.bitmask(s.getVector(1)))),
  movmskpd: vector((s) => s.set(0, i64x2.bitmask(s.getVector(1)))),
  // The upper half of an MMX register's vector is zero.
  pmovmskb: vector((s) => s.set(0, i8x16.bitmask(source(s, 1))), "main"),
};
