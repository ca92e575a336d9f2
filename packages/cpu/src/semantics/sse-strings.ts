import { Flag, Register } from "../state/layout.ts";
import { i32, i8x16, select, v128 } from "../wasm/index.ts";
import type { I32, V128 } from "../wasm/index.ts";
import type { Description, Descriptions, InstructionContext } from "./context.ts";
import { loadStatusFlags } from "./flags.ts";
import { toI32 } from "./integer-ops.ts";
import { ZERO, helpWith } from "./vector-operands.ts";

/** Fields of the immediate (Intel SDM vol. 2, 4.1). */
const WORDS = 1;
/** Of the two bits that say how elements are compared: 0 with any of the first operand, else each with its own. */
const EACH = 8;
/** Comparisons that are left to the helper: ranges, and the first operand's place in the second. */
const ORDERED = 4;
const NEGATED = 0x10;
const MASKED = 0x20;
const MOST_SIGNIFICANT = 0x40;
const ELEMENTS = 16;
const ALL = (1 << ELEMENTS) - 1;

/** A comparison of strings: both operands are read whole, unaligned. */
const compareStrings: Description = {
  group: "vector",
  describe: (s) => helpWith(s, s.getVector(1, false)),
};

/** A field of the immediate, not 0 where it is set; a constant if the immediate is one. */
function field(immediate: I32, bits: number): I32 {
  const { constant } = immediate;
  if (typeof constant === "number") return i32.const(constant & bits);
  return i32.and(immediate, i32.const(bits));
}

/** As many ones as a string has bytes before its end. */
function bytesOf(s: InstructionContext, string: V128): I32 {
  const zeros = s.f.let(i8x16.bitmask(i8x16.eq(string, ZERO)));
  // The lowest bit's lower neighbours; all where none is set.
  const below = i32.and(i32.xor(zeros, i32.const(-1)), i32.sub(zeros, i32.const(1)));
  return s.f.let(i32.and(below, i32.const(ALL)));
}

/** Which bytes of `b` are among those of `a`. */
function matchesAny(s: InstructionContext, a: V128, valid: I32, b: V128): I32 {
  const { f } = s;
  const found = f.local("v128");
  const at = f.local("i32");
  f.set(found, ZERO);
  f.set(at, i32.const(0));
  const length = f.let(i32.popcnt(valid));
  f.block((done) => {
    f.loop((again) => {
      f.brIf(done, i32.ge_u(at.get, length));
      const wanted = v128.swizzle(a, i8x16.splat(at.get));
      f.set(found, v128.or(found.get, i8x16.eq(wanted, b)));
      f.set(at, i32.add(at.get, i32.const(1)));
      f.br(again);
    });
  });
  return i8x16.bitmask(found.get);
}

/** PCMPISTRI: strings of bytes that end with a zero, compared for equality as the C library does. */
const compareImplicit: Description = {
  group: "vector",
  describe(s) {
    const { f } = s;
    const b = f.let(s.getVector(1, false));
    const immediate = f.let(toI32(s.get(2)));
    f.if(field(immediate, WORDS | ORDERED), () => helpWith(s, b));
    const a = f.let(s.getVector(0));
    const [validA, validB] = [bytesOf(s, a), bytesOf(s, b)];
    const bits = f.local("i32");
    f.if(
      field(immediate, EACH),
      () => {
        // Behind the ends of both all is equal, behind the end of one nothing.
        const neither = i32.xor(i32.or(validA, validB), i32.const(ALL));
        const both = i32.and(validA, validB);
        const equal = i32.and(i8x16.bitmask(i8x16.eq(a, b)), both);
        f.set(bits, i32.or(equal, neither));
      },
      () => f.set(bits, i32.and(matchesAny(s, a, validA, b), validB)),
    );
    const inverted = select(field(immediate, MASKED), validB, i32.const(ALL));
    const change = select(field(immediate, NEGATED), inverted, i32.const(0));
    f.set(bits, i32.xor(bits.get, change));
    const highest = i32.sub(i32.const(31), i32.clz(bits.get));
    const lowest = i32.ctz(i32.or(bits.get, i32.const(1 << ELEMENTS)));
    const isHighest = i32.and(
      i32.ne(field(immediate, MOST_SIGNIFICANT), i32.const(0)),
      i32.ne(bits.get, i32.const(0)),
    );
    s.setRegister(Register.Rcx, 32, f.let(select(isHighest, highest, lowest)));
    const flag = (condition: I32, bit: number): I32 =>
      select(condition, i32.const(bit), i32.const(0));
    const ends = (valid: I32): I32 => i32.ne(valid, i32.const(ALL));
    loadStatusFlags(
      s,
      f.let(
        i32.or(
          i32.or(flag(bits.get, Flag.Cf), flag(ends(validB), Flag.Zf)),
          i32.or(flag(ends(validA), Flag.Sf), flag(i32.and(bits.get, i32.const(1)), Flag.Of)),
        ),
      ),
    );
  },
};

/** Comparisons of strings (Intel SDM vol. 1, 12.11). */
export const sseStrings: Descriptions = {
  pcmpestri: compareStrings,
  pcmpestrm: compareStrings,
  pcmpistri: compareImplicit,
  pcmpistrm: compareStrings,
};
