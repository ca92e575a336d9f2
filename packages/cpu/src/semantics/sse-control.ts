import { Register, State } from "../state/layout.ts";
import { i32, i64, i64x2, i8x16, unlikely } from "../wasm/index.ts";
import type { I64, V128 } from "../wasm/index.ts";
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

/** MASKMOVQ and MASKMOVDQU: the bytes whose mask has bit 7 set go to DS:rDI, by eight. */
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
    const offset = s.registerPart(Register.Rdi, s.shape.addressSize);
    const address = f.let(s.linear("operand", toI64(offset), 8, true));
    const halves = mmx ? [0] : [0, 1];
    const at = (half: number): I64 => {
      const linear = i64.add(address, i64.const(8 * half));
      return s.shape.long ? linear : i64.and(linear, i64.const(0xffffffff));
    };
    // Both halves may fault, one after the other, before either is written.
    if (!mmx) {
      s.translate(at(0), 8, "update");
      s.linear("operand", toI64(offset), 16, true);
      s.translate(at(1), 8, "update");
    }
    const value = f.let(source(s, 0));
    const mask = f.let(i8x16.shr_s(source(s, 1), i32.const(7)));
    for (const half of halves) {
      const place = s.translate(at(half), 8, "update");
      const lane = (vector: V128): I64 => i64x2.extract_lane(vector, half);
      const kept = i64.and(i64.load(place), i64.xor(lane(mask), i64.const(-1)));
      f.store.i64(place, i64.or(i64.and(lane(value), lane(mask)), kept));
      s.finishWrite(place);
    }
  },
};

/** Faults as a load of the byte would; there is no cache to flush. */
const flush: Description = {
  group: "vector",
  describe: (s) => void s.translate(s.address(), 1, "read"),
};

/** MXCSR, EMMS, masked stores, cache lines, and what only helpers do. */
export const sseControl: Descriptions = {
  ldmxcsr: {
    group: "vector",
    describe(s) {
      const value = s.f.let(toI32(s.get(0)));
      s.f.if(unlikely(i32.and(value, i32.const(MXCSR_RESERVED))), () =>
        s.raise(GENERAL_PROTECTION, 0),
      );
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
