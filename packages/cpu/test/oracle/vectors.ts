import type { OpcodeEntry } from "../../src/isa/opcode-entry.ts";
import type { VectorState } from "./layout.ts";
import type { Chooser } from "./values.ts";

/**
 * x87 and SIMD instructions whose results other comparisons look at, or nobody can: approximations differ from make
 * to make, saved images hold pointers that AMD processors do not always write, the host saves more components.
 */
export const VECTORS_NOT_COMPARED =
  /^(rcp|rsqrt|f2xm1|fyl2x|fptan|fpatan|fsin|fcos|fn?save|fn?stenv|fxsave|fxrstor|xsave|xrstor|frstor|fldenv)/;

/** NaNs, infinities, zeros, denormals and numbers near one another, as doubles or pairs of singles. */
const DOUBLES = [
  0n,
  0x8000000000000000n,
  0x3ff0000000000000n,
  0xbff0000000000000n,
  0x7ff0000000000000n,
  0xfff0000000000000n,
  0x7ff8000000000001n,
  0x7ff0000000000001n,
  0xffffffffffffffffn,
  1n,
  0x000fffffffffffffn,
  0x0010000000000000n,
  0x7fefffffffffffffn,
  0x41dfffffffc00000n,
  0x43e0000000000000n,
];
const SINGLES = [
  0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00001, 0x7f800001, 0xffffffff,
  1, 0x007fffff, 0x00800000, 0x7f7fffff, 0x4effffff, 0x5f000000,
];

function quadword(chooser: Chooser): bigint {
  switch (chooser.below(5)) {
    case 0:
      return chooser.pick(DOUBLES);
    case 1:
      return (BigInt(chooser.pick(SINGLES)) << 32n) | BigInt(chooser.pick(SINGLES));
    case 2:
      return chooser.value();
    case 3: {
      // Numbers of middling size, whose sums and products are finite.
      const exponent = BigInt(1023 - 20 + chooser.below(40));
      return ((chooser.bits64() & 0x800fffffffffffffn) | (exponent << 52n)) & 0xffffffffffffffffn;
    }
    default:
      return chooser.bits64();
  }
}

/** A random x87, MMX and SSE state. Exceptions are masked but for one state in eight. */
export function randomVectors(chooser: Chooser): VectorState {
  const xmm = new Uint8Array(256);
  const st = new Uint8Array(128);
  const view = new DataView(xmm.buffer);
  for (let at = 0; at < 256; at += 8) view.setBigUint64(at, quadword(chooser), true);
  const registers = new DataView(st.buffer);
  for (let i = 0; i < 8; i++) {
    const normal = chooser.oneIn(4) ? 0n : 1n << 63n;
    registers.setBigUint64(i * 16, quadword(chooser) | normal, true);
    const exponent = chooser.pick([
      0,
      0x3fff,
      0x7fff,
      0x3fff + chooser.below(64),
      0x3fc0 + chooser.below(64),
    ]);
    registers.setUint16(i * 16 + 8, exponent | (chooser.oneIn(2) ? 0x8000 : 0), true);
  }
  const masked = !chooser.oneIn(8);
  const rounding = chooser.oneIn(3) ? chooser.below(4) : 0;
  const flush = chooser.oneIn(6) ? chooser.pick([0x40, 0x8000, 0x8040]) : 0;
  const precision = chooser.oneIn(4) ? chooser.pick([0, 0x200]) : 0x300;
  return {
    xmm,
    st,
    mxcsr:
      (masked ? 0x1f80 : chooser.below(64) << 7) |
      (rounding << 13) |
      flush |
      (chooser.oneIn(4) ? chooser.below(64) : 0),
    control: 0x40 | (masked ? 0x3f : chooser.below(64)) | precision | (rounding << 10),
    // Condition codes and TOP; no exception is pending.
    status: (chooser.next() & 0x4700) | (chooser.below(8) << 11),
    tags: chooser.oneIn(3) ? chooser.below(256) : 0xff,
    opcode: 0,
    ip: 0n,
    dp: 0n,
  };
}

/** Whether a form's results are compared here. */
export const comparesVectors = ({ mnemonic }: OpcodeEntry): boolean =>
  !VECTORS_NOT_COMPARED.test(mnemonic);
