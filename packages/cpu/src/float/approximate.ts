/**
 * RCPPS and RSQRTPS. The manuals promise a relative error of at most 1.5 * 2^-12 and nothing else; these are the values of
 * AMD's Zen processors, measured: they look up the top twelve fraction bits x0:x1:x2 (four bits each) in a
 * bipartite table, coarse[x0:x1] - fine[x0:x2].
 */
import { F32 } from "./format.ts";

/** Expands one table: both parts are differences in base 36, `fine` starting again at 0 for each x0. */
function bipartite(start: number, coarse: string, fine: string): Uint16Array {
  const table = new Uint16Array(4096);
  let high = start;
  for (let index = 0; index < 256; index++) {
    high -= Number.parseInt(coarse.charAt(index), 36);
    let low = 0;
    for (let last = 0; last < 16; last++) {
      low += Number.parseInt(fine.charAt((index & 0xf0) | last), 36);
      table[(index << 4) | last] = high - low;
    }
  }
  return table;
}

// Entries are in units of 2^-13 above 1/2.
/** 1 / x for x in [1, 2). */
const RECIPROCAL = bipartite(
  4094,
  "0WVWUVVUUUUTTTTTUSSRSRRRRRQQQQQPRPPPOPOOOONONNNNOMNMMMMMLMLLLLLKMKKKKKKJKJKJJJJIJIJIII" +
    "IIIHIHIHHHIHGHHGGHGGGGGFGGGFGFFFFFFFEFEFEFEEFEDEEEDEEDDEDDEDDDCDDDCDCDCCDCCCCCCCCBCCBC" +
    "BCBBCBBBBBBBBBBABABBBAABAAAABAAA9AAAA9AA9A9A9A999A99A9999989999899898989889888988888",
  "02122222221222220122122122122122012112121212121201121121121121120111121112111121011211" +
    "11111121110111111111111111011111011111111101101111110111110101111011110111011011011101" +
    "110101011011011011010011010110110101001101011010110100101010110101010010101101010101",
);

/** 1 / √x for x in [1, 2). */
const ROOT_ODD = bipartite(
  4095,
  "0GGFGGFFGFFFFFFEFFEFEEEEEEEEEDEDEDEDDDDDDDCDDCDCDCDCCCCCCCBCCBCBDBBCBBBBBBBBBBABBABABA" +
    "BAAABAAAAAAAAAA9AA9A9A9A99A99A99999999989989989898989889889888888888888788887887878787" +
    "877877778777777777778776777767767767676767676676676676666667666666666666656666566656",
  "01111111011111110111011111110111011011110111110101101101110111010011011101101101010110" +
    "11010110110011010101101101001010110101011001010101010101010010101010101010001010100101" +
    "010101010010101010010010010100101010001010010100100100100101001010010001001010010010",
);

/** 1 / √x for x in [2, 4). */
const ROOT_EVEN = bipartite(
  1696,
  "0BBCBABBBBABBABABAABAAAAA9AAA9A9AA99A9999999999998998989889889888888888888788787878787" +
    "78777877777777777767776776767676766766766676666666666666656665666565665656556565565565" +
    "555655555555555555556455555455545545545455454545454454544544544454445444444544444444",
  "01011011011011010011010110110110001101010110101000110101010101010010101010101010010010" +
    "10101010010010100101010010001010010100101000010100100101000010010010010010001001001001" +
    "001001001001001000100001001000100100000100100010010000100010001000100010001000100010",
);

/** RCPSS and RCPPS on one element; no exceptions, denormals count as zeros. */
export function f32Reciprocal(value: number): number {
  const sign = value >>> 31;
  const biased = (value >>> 23) & 0xff;
  if (biased === 0xff) return value & 0x7fffff ? (value | 0x400000) >>> 0 : F32.zero(sign);
  if (biased === 0) return F32.infinity(sign);
  if (biased >= 253) return F32.zero(sign);
  const mantissa = RECIPROCAL[(value >>> 11) & 0xfff] ?? 0;
  return (((sign << 31) | ((253 - biased) << 23)) + (mantissa << 11)) >>> 0;
}

/** RSQRTSS and RSQRTPS on one element; no exceptions, denormals count as zeros. */
export function f32ReciprocalSquareRoot(value: number): number {
  const sign = value >>> 31;
  const biased = (value >>> 23) & 0xff;
  if (biased === 0xff && value & 0x7fffff) return (value | 0x400000) >>> 0;
  if (biased === 0) return F32.infinity(sign);
  if (sign === 1) return F32.indefinite;
  if (biased === 0xff) return 0;
  const half = (biased - 127) >> 1;
  const table = biased & 1 ? ROOT_ODD : ROOT_EVEN;
  return ((126 - half) << 23) + ((table[(value >>> 11) & 0xfff] ?? 0) << 11);
}
