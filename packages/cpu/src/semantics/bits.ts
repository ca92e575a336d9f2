import { i32, i64 } from "../wasm/index.ts";
import type { Int } from "../wasm/index.ts";
import { widthOf } from "./arithmetic.ts";
import type { Description, Descriptions, InstructionContext, Width } from "./context.ts";
import { setCarry, setZeroAndCarry } from "./flags.ts";
import {
  and,
  constant,
  eqz,
  isLong,
  not,
  or,
  shl,
  shr_u,
  signExtend64,
  toI32,
  toI64,
  xor,
} from "./integer-ops.ts";

type Change = ((old: Int, mask: Int) => Int) | undefined;

/**
 * BT and its kin. A register bit offset reaches beyond a memory operand in either direction; an
 * immediate one, or one into a register, counts modulo the width.
 */
function bitTest(change: Change): Description {
  return {
    group: change === undefined ? "main" : "rare",
    modal: true,
    describe(s) {
      const { f } = s;
      const width = widthOf(s, 0);
      const raw = s.get(1);
      const offset = f.let(width === 64 ? toI64(raw) : raw);
      const position = f.let(and(offset, constant(width, width - 1)));
      const far =
        s.shape.operands[0]?.class === "memory" && s.shape.operands[1]?.class === "register";
      const finish = (old: Int): Int => {
        setCarry(s, i32.and(toI32(shr_u(old, position)), i32.const(1)));
        const mask = shl(constant(width, 1), position);
        return change === undefined ? old : change(old, mask);
      };
      if (!far) {
        if (change === undefined) finish(f.let(s.get(0)));
        else s.update(0, finish);
        return;
      }
      const words = i64.shr_s(signExtend64(width, offset), i64.const(Math.log2(width)));
      const distance = i64.mul(words, i64.const(width / 8));
      // The operand's address is still an offset: the distance counts before it wraps and before its segment.
      const moved = i64.and(i64.add(s.address(), distance), s.addressMask());
      const bytes = width / 8;
      const address = f.let(s.linear("operand", f.let(moved), bytes, change !== undefined));
      if (change === undefined) {
        finish(f.let(s.load(width, address)));
        return;
      }
      const place = f.let(s.translate(address, width / 8, "update"));
      const old = f.let(loadAt(width, place));
      storeAt(s, width, place, f.let(finish(old)));
      s.finishWrite(place);
    },
  };
}

function loadAt(width: Width, place: Int): Int {
  return width === 64 ? i64.load(place) : width === 32 ? i32.load(place) : i32.load16_u(place);
}

function storeAt(s: InstructionContext, width: Width, place: Int, value: Int): void {
  if (width === 64) s.f.store.i64(place, toI64(value));
  else if (width === 32) s.f.store.i32(place, toI32(value));
  else s.f.store.i32_16(place, toI32(value));
}

/** BSF and BSR: with a source of zero ZF is set and the destination stays as it was. */
function bitScan(direction: "forward" | "reverse"): Description {
  return {
    describe(s) {
      const { f } = s;
      const source = f.let(s.get(1));
      const found = (value: Int): Int => {
        if (isLong(value)) {
          return direction === "forward" ? i64.ctz(value) : i64.sub(i64.const(63), i64.clz(value));
        }
        const word = toI32(value);
        return direction === "forward" ? i32.ctz(word) : i32.sub(i32.const(31), i32.clz(word));
      };
      const any = f.let(i32.eqz(eqz(source)));
      f.if(any, () => s.set(0, found(source)));
      s.setFlagWords(i64.extend_i32_u(any), i32.const(0), i32.const(0));
    },
  };
}

/** Bit operations (Intel SDM vol. 1, 5.1.6). */
export const bits: Descriptions = {
  bt: bitTest(undefined),
  bts: bitTest((old, mask) => or(old, mask)),
  btr: bitTest((old, mask) => and(old, not(mask))),
  btc: bitTest((old, mask) => xor(old, mask)),
  bsf: bitScan("forward"),
  bsr: bitScan("reverse"),
  popcnt: {
    group: "rare",
    describe(s) {
      const source = s.f.let(s.get(1));
      const count = isLong(source) ? i64.popcnt(source) : i32.popcnt(toI32(source));
      s.set(0, count);
      setZeroAndCarry(s, eqz(source), i32.const(0));
    },
  },
};
