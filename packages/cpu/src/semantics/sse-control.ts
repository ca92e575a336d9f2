import { Register, State } from "../state/layout.ts";
import { i32, i64, i64x2, i8x16, v128 } from "../wasm/index.ts";
import type { Description, Descriptions } from "./context.ts";
import { toI32, toI64 } from "./integer-ops.ts";
import {
  ZERO,
  enterMmx,
  helpWith,
  isMmx,
  leaveMmx,
  raisePendingX87,
  source,
} from "./vector-operands.ts";

const GENERAL_PROTECTION = 13;
/** MXCSR bits that a load must leave clear. */
const MXCSR_RESERVED = 0xffff0000 | 0;

/** MASKMOVQ and MASKMOVDQU: the bytes whose mask has bit 7 set go to DS:rDI. */
const maskedStore: Description = {
  group: "vector",
  modal: true,
  string: true,
  describe(s) {
    const { f } = s;
    const mmx = isMmx(s);
    if (mmx) {
      raisePendingX87(s);
      // Even if the store faults.
      enterMmx(s);
    }
    const bytes = mmx ? 8 : 16;
    const offset = s.registerPart(Register.Rdi, s.shape.addressSize);
    const at = f.let(s.translate(s.linear("operand", toI64(offset), bytes, true), bytes, "update"));
    const mask = f.let(i8x16.shr_s(source(s, 1), i32.const(7)));
    const old = mmx ? v128.load64_zero(at) : v128.load(at);
    const merged = f.let(v128.bitselect(source(s, 0), old, mask));
    if (mmx) f.store.i64(at, i64x2.extract_lane(merged, 0));
    else f.store.v128(at, merged);
    s.finishWrite(at);
  },
};

/** Faults as a load of the byte would; there is no cache to flush. */
const flush: Description = {
  group: "vector",
  describe: (s) => void s.translate(s.address(), 1, "read"),
};

/** A comparison of strings: both operands are read whole, unaligned. */
const compareStrings: Description = {
  group: "vector",
  describe: (s) => helpWith(s, s.getVector(1, false)),
};

/** MXCSR, EMMS, masked stores, cache lines, and what only helpers do. */
export const sseControl: Descriptions = {
  ldmxcsr: {
    group: "vector",
    describe(s) {
      const value = s.f.let(toI32(s.get(0)));
      s.f.if(i32.and(value, i32.const(MXCSR_RESERVED)), () => s.raise(GENERAL_PROTECTION, 0));
      s.setState32(State.Mxcsr, value);
    },
  },
  stmxcsr: { group: "vector", describe: (s) => s.set(0, s.state32(State.Mxcsr)) },
  emms: {
    group: "vector",
    describe(s) {
      raisePendingX87(s);
      leaveMmx(s);
    },
  },
  maskmovq: maskedStore,
  maskmovdqu: maskedStore,
  clflush: flush,
  clflushopt: flush,
  clwb: flush,
  pcmpestri: compareStrings,
  pcmpestrm: compareStrings,
  pcmpistri: compareStrings,
  pcmpistrm: compareStrings,
  crc32: {
    group: "rare",
    describe(s) {
      const value = s.get(1);
      helpWith(
        s,
        i64x2.replace_lane(ZERO, 0, value.type === "i64" ? value : i64.extend_i32_u(value)),
      );
    },
  },
};
