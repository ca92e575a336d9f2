import { i16x8, i32, i32x4, i64, i64x2, i8x16, select, v128 } from "../wasm/index.ts";
import type { I32, V128 } from "../wasm/index.ts";
import type { Description, Descriptions, InstructionContext } from "./context.ts";
import { toI32, toI64 } from "./integer-ops.ts";
import {
  IOTA,
  ZERO,
  binary,
  immediate,
  isMmx,
  lanes,
  source,
  splat,
  unary,
  vector,
  write,
} from "./vector-operands.ts";

/** PUNPCKL, PUNPCKH and UNPCK: elements of `size` bytes, from the low or high halves, in turn. */
function interleave(size: 1 | 2 | 4 | 8, high: boolean): Description {
  return binary((a, b, s) => {
    const start = high ? (isMmx(s) ? 4 : 8) : 0;
    const bytes = Array.from({ length: 16 }, (_, i) => {
      const from = Math.floor(i / size) % 2 === 0 ? 0 : 16;
      return from + start + Math.floor(i / (2 * size)) * size + (i % size);
    });
    return v128.shuffle(a, b, bytes);
  });
}

/** `dwords[selector[2i+1:2i]]` for each dword i. */
function selectDwords(s: InstructionContext, value: V128, selector: I32): V128 {
  const { constant } = selector;
  if (constant !== undefined) {
    const picked = Array.from({ length: 16 }, (_, i) => {
      return ((Number(constant) >> ((i >> 2) * 2)) & 3) * 4 + (i & 3);
    });
    return v128.shuffle(value, value, picked);
  }
  // Multiplying moves each field to bits 6 and 7 of its lane.
  const fields = i32x4.mul(i32x4.splat(selector), lanes(4, [64, 16, 4, 1]));
  const numbers = v128.and(i32x4.shr_u(fields, i32.const(6)), splat(4, 3));
  const bytes = i32x4.add(i32x4.mul(numbers, splat(4, 0x04040404)), splat(4, 0x03020100));
  return v128.swizzle(value, s.f.let(bytes));
}

/** The same for the four words of one half; the other half stays. */
function selectWords(s: InstructionContext, value: V128, selector: I32, high: boolean): V128 {
  const low = [64, 16, 4, 1];
  const none = [0, 0, 0, 0];
  const factors = lanes(2, high ? [...none, ...low] : [...low, ...none]);
  const fields = i16x8.mul(i16x8.splat(selector), factors);
  const numbers = v128.and(i16x8.shr_u(fields, i32.const(6)), splat(2, 3));
  const start = lanes(
    2,
    Array.from({ length: 8 }, (_, i) => {
      const moved = i >= 4 === high;
      const word = moved ? (high ? 4 : 0) : i;
      return word * 2 + (word * 2 + 1) * 256;
    }),
  );
  const bytes = i16x8.add(i16x8.mul(numbers, splat(2, 0x0202)), start);
  return v128.swizzle(value, s.f.let(bytes));
}

const words = (high: boolean): Description =>
  vector((s) => {
    const b = s.f.let(source(s, 1));
    write(s, selectWords(s, b, immediate(s, 2), high));
  });

/** Bytes `count` to `count + 15` of a vector with zeros on both sides; −16 ≤ count ≤ 32. */
const window = (value: V128, count: I32): V128 =>
  v128.swizzle(value, i8x16.add(IOTA, i8x16.splat(count)));

/** An unsigned count, at most `most`. */
const atMost = (s: InstructionContext, count: I32, most: number): I32 =>
  s.f.let(select(i32.gt_u(count, i32.const(most)), i32.const(most), count));

/** A mask whose lane i is all ones where bit i of `bits` is set. */
function maskOf(bits: I32, size: 2 | 4 | 8): V128 {
  const flags = lanes(
    size,
    Array.from({ length: 16 / size }, (_, i) => 1 << i),
  );
  if (size === 2) return i16x8.eq(v128.and(i16x8.splat(bits), flags), flags);
  if (size === 4) return i32x4.eq(v128.and(i32x4.splat(bits), flags), flags);
  return i64x2.eq(v128.and(i64x2.splat(i64.extend_i32_u(bits)), flags), flags);
}

const blendByImmediate = (size: 2 | 4 | 8): Description =>
  binary((a, b, s) => v128.bitselect(b, a, maskOf(immediate(s, 2), size)));

const blendBySign = (mask: (signs: V128) => V128): Description =>
  binary((a, b, s) => v128.bitselect(b, a, mask(s.getVector(2))));

const lane = (number: I32, size: 1 | 2 | 4 | 8): V128 => {
  const numbers = lanes(
    size,
    Array.from({ length: 16 / size }, (_, i) => i),
  );
  if (size === 1) return i8x16.eq(i8x16.splat(number), numbers);
  if (size === 2) return i16x8.eq(i16x8.splat(number), numbers);
  if (size === 4) return i32x4.eq(i32x4.splat(number), numbers);
  return i64x2.eq(i64x2.splat(i64.extend_i32_u(number)), numbers);
};

/** How many elements of `size` bytes a vector operand has. */
const elements = (s: InstructionContext, size: number): number => (isMmx(s) ? 8 : 16) / size;

/** PINSRB, PINSRW, PINSRD, PINSRQ. */
function insert(sizeOf: (s: InstructionContext) => 1 | 2 | 4 | 8): Description {
  return vector((s) => {
    const size = sizeOf(s);
    const value = s.f.let(s.get(1));
    const number = i32.and(immediate(s, 2), i32.const(elements(s, size) - 1));
    const everywhere =
      size === 1
        ? i8x16.splat(toI32(value))
        : size === 2
          ? i16x8.splat(toI32(value))
          : size === 4
            ? i32x4.splat(toI32(value))
            : i64x2.splat(toI64(value));
    write(s, v128.bitselect(everywhere, source(s, 0), lane(s.f.let(number), size)));
  });
}

/** PEXTRB, PEXTRW, PEXTRD, PEXTRQ, EXTRACTPS. */
function extract(sizeOf: (s: InstructionContext) => 1 | 2 | 4 | 8): Description {
  return vector((s) => {
    const size = sizeOf(s);
    const number = i32.and(immediate(s, 2), i32.const(elements(s, size) - 1));
    const moved = window(source(s, 1), i32.mul(number, i32.const(size)));
    if (size === 8) s.set(0, i64x2.extract_lane(moved, 0));
    else if (size === 4) s.set(0, i32x4.extract_lane(moved, 0));
    else if (size === 2) s.set(0, i16x8.extract_lane_u(moved, 0));
    else s.set(0, i8x16.extract_lane_u(moved, 0));
  });
}

const operandSize = (s: InstructionContext): 4 | 8 => (s.shape.size === 64 ? 8 : 4);

/** Shuffles, unpacks, blends, inserts and extracts. */
export const sseShuffle: Descriptions = {
  punpcklbw: interleave(1, false),
  punpcklwd: interleave(2, false),
  punpckldq: interleave(4, false),
  punpcklqdq: interleave(8, false),
  punpckhbw: interleave(1, true),
  punpckhwd: interleave(2, true),
  punpckhdq: interleave(4, true),
  punpckhqdq: interleave(8, true),
  unpcklps: interleave(4, false),
  unpcklpd: interleave(8, false),
  unpckhps: interleave(4, true),
  unpckhpd: interleave(8, true),
  pshufd: vector((s) => {
    const b = s.f.let(source(s, 1));
    write(s, selectDwords(s, b, immediate(s, 2)));
  }),
  pshufw: words(false),
  pshuflw: words(false),
  pshufhw: words(true),
  // The low half comes from the destination, the high one from the source.
  shufps: binary((a, b, s) => {
    const selector = immediate(s, 2);
    const low = s.f.let(selectDwords(s, a, selector));
    const high = s.f.let(selectDwords(s, b, selector));
    return v128.shuffle(low, high, [0, 1, 2, 3, 4, 5, 6, 7, 24, 25, 26, 27, 28, 29, 30, 31]);
  }),
  shufpd: binary((a, b, s) => {
    const selector = immediate(s, 2);
    const pick = (value: V128, bit: number): ReturnType<typeof i64x2.extract_lane> =>
      select(
        i32.and(selector, i32.const(bit)),
        i64x2.extract_lane(value, 1),
        i64x2.extract_lane(value, 0),
      );
    return i64x2.replace_lane(i64x2.splat(pick(a, 1)), 1, pick(b, 2));
  }),
  pshufb: binary((a, b, s) => {
    // Bit 7 of a selector gives zero; of the others only the low bits count.
    return v128.swizzle(a, v128.and(b, splat(1, isMmx(s) ? 0x87 : 0x8f)));
  }),
  palignr: binary((a, b, s) => {
    const mmx = isMmx(s);
    const count = atMost(s, immediate(s, 2), mmx ? 16 : 32);
    if (mmx) {
      const joined = v128.shuffle(b, a, [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]);
      return window(joined, count);
    }
    return v128.or(window(b, count), window(a, i32.sub(count, i32.const(16))));
  }),
  psrldq: vector((s) => {
    const a = s.f.let(s.getVector(0));
    write(s, window(a, atMost(s, immediate(s, 1), 16)));
  }),
  pslldq: vector((s) => {
    const a = s.f.let(s.getVector(0));
    write(s, window(a, i32.sub(i32.const(0), atMost(s, immediate(s, 1), 16))));
  }),
  pblendw: blendByImmediate(2),
  blendps: blendByImmediate(4),
  blendpd: blendByImmediate(8),
  pblendvb: blendBySign((signs) => i8x16.shr_s(signs, i32.const(7))),
  blendvps: blendBySign((signs) => i32x4.shr_s(signs, i32.const(31))),
  blendvpd: blendBySign((signs) => i64x2.shr_s(signs, i32.const(63))),
  pinsrb: insert(() => 1),
  pinsrw: insert(() => 2),
  pinsrd: insert(operandSize),
  pextrb: extract(() => 1),
  pextrw: extract(() => 2),
  pextrd: extract(operandSize),
  extractps: extract(() => 4),
  insertps: vector((s) => {
    const { f } = s;
    const b = f.let(source(s, 1));
    const control = immediate(s, 2);
    // A memory operand has one element; bits 6 and 7 choose one of a register.
    const from =
      s.shape.operands[1]?.class === "memory"
        ? i32.const(0)
        : i32.and(i32.shr_u(control, i32.const(4)), i32.const(12));
    const indices = i8x16.add(splat(4, 0x03020100), i8x16.splat(from));
    const to = i32.and(i32.shr_u(control, i32.const(4)), i32.const(3));
    const inserted = v128.bitselect(v128.swizzle(b, indices), s.getVector(0), lane(to, 4));
    write(s, v128.andnot(inserted, maskOf(control, 4)));
  }),
  pmovsxbw: unary(i16x8.extend_low_i8x16_s),
  pmovsxbd: unary((b) => i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(b))),
  pmovsxbq: unary((b) =>
    i64x2.extend_low_i32x4_s(i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(b))),
  ),
  pmovsxwd: unary(i32x4.extend_low_i16x8_s),
  pmovsxwq: unary((b) => i64x2.extend_low_i32x4_s(i32x4.extend_low_i16x8_s(b))),
  pmovsxdq: unary(i64x2.extend_low_i32x4_s),
  pmovzxbw: unary(i16x8.extend_low_i8x16_u),
  pmovzxbd: unary((b) => i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(b))),
  pmovzxbq: unary((b) =>
    i64x2.extend_low_i32x4_u(i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(b))),
  ),
  pmovzxwd: unary(i32x4.extend_low_i16x8_u),
  pmovzxwq: unary((b) => i64x2.extend_low_i32x4_u(i32x4.extend_low_i16x8_u(b))),
  pmovzxdq: unary(i64x2.extend_low_i32x4_u),
  phminposuw: unary((b, s) => {
    const { f } = s;
    // Word << 3 | index fits a dword, whose minimum is the first of the smallest words.
    const tagged = (half: V128, first: number): V128 =>
      v128.or(i32x4.shl(half, i32.const(3)), lanes(4, [first, first + 1, first + 2, first + 3]));
    const low = tagged(i32x4.extend_low_i16x8_u(b), 0);
    const high = tagged(i32x4.extend_high_i16x8_u(b), 4);
    const four = f.let(i32x4.min_u(low, high));
    const swapped = v128.shuffle(
      four,
      four,
      [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7],
    );
    const two = f.let(i32x4.min_u(four, swapped));
    const least = f.let(
      i32x4.extract_lane(
        i32x4.min_u(
          two,
          v128.shuffle(two, two, [4, 5, 6, 7, 0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15]),
        ),
        0,
      ),
    );
    const index = i32.shl(i32.and(least, i32.const(7)), i32.const(16));
    return i32x4.replace_lane(ZERO, 0, i32.or(i32.shr_u(least, i32.const(3)), index));
  }),
};
