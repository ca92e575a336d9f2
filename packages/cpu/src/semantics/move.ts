import { i32, i64 } from "../wasm/index.ts";
import { widthOf } from "./arithmetic.ts";
import type { Description, Descriptions } from "./context.ts";
import { conditionHolds } from "./flags.ts";
import { add, choose, signExtend, swapBytes, toI32, toI64 } from "./integer-ops.ts";

const nothing: Description = { describe: () => undefined };

/** Data movement (Intel SDM vol. 1, 5.1.1), address computation and hints. */
export const move: Descriptions = {
  mov: { describe: (s) => s.set(0, s.get(1)) },
  movnti: { group: "rare", describe: (s) => s.set(0, s.get(1)) },
  movzx: {
    describe(s) {
      const value = s.get(1);
      s.set(0, widthOf(s, 0) === 64 ? toI64(value) : toI32(value));
    },
  },
  movsx: {
    describe(s) {
      const value = toI32(signExtend(widthOf(s, 1), s.get(1)));
      s.set(0, widthOf(s, 0) === 64 ? i64.extend_i32_s(value) : value);
    },
  },
  // With a 32-bit or 16-bit destination MOVSXD is a plain move.
  movsxd: {
    describe(s) {
      const value = toI32(s.get(1));
      s.set(0, widthOf(s, 0) === 64 ? i64.extend_i32_s(value) : value);
    },
  },
  lea: {
    describe(s) {
      const address = s.address();
      s.set(0, widthOf(s, 0) === 64 ? address : i32.wrap_i64(address));
    },
  },
  xchg: {
    describe(s) {
      const source = s.f.let(s.get(1));
      s.update(0, (old) => {
        s.set(1, old);
        return source;
      });
    },
  },
  cmovcc: {
    describe(s) {
      // The source is read, and a 32-bit destination's upper half cleared, whatever the condition.
      const source = s.f.let(s.get(1));
      const old = s.f.let(s.get(0));
      s.set(0, choose(conditionHolds(s, s.shape.condition), source, old));
    },
  },
  setcc: { describe: (s) => s.set(0, conditionHolds(s, s.shape.condition)) },
  xlatb: {
    group: "rare",
    modal: true,
    string: true,
    describe(s) {
      const { addressSize } = s.shape;
      const table = s.registerPart(3, addressSize);
      const index = s.registerPart(0, 8);
      const offset =
        addressSize === 64 ? add(table, toI64(index)) : add(toI32(table), toI32(index));
      const masked = addressSize === 16 ? i32.and(toI32(offset), i32.const(0xffff)) : offset;
      const linear = s.linear("operand", toI64(masked), 1, false);
      s.setRegister(0, 8, s.load(8, linear));
    },
  },
  movbe: {
    group: "rare",
    describe(s) {
      const width = widthOf(s, 0);
      if (width !== 8) s.set(0, swapBytes(s.f, width, s.get(1)));
    },
  },
  nop: nothing,
  endbr64: nothing,
  endbr32: nothing,
  prefetchnta: nothing,
  prefetcht0: nothing,
  prefetcht1: nothing,
  prefetcht2: nothing,
  prefetch: nothing,
  prefetchw: nothing,
  lfence: nothing,
  sfence: nothing,
  mfence: nothing,
  serialize: nothing,
};
