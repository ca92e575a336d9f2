/** Packed decimal: eighteen digits, two a byte, and a sign byte (SDM vol. 1, 4.7). */
import { toInteger } from "./convert.ts";
import { F80 } from "./format.ts";
import { round } from "./round.ts";
import { Exception } from "./status.ts";
import type { FloatStatus } from "./status.ts";

/** The packed decimal indefinite: FF FF C0 and seven zero bytes. */
const INDEFINITE = [0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff];
const LIMIT = 10n ** 18n;

/** FBLD: ten bytes to a value, always exact. Nibbles above 9 count as their value. */
export function f80FromDecimal(bytes: DataView, status: FloatStatus): F80 {
  let magnitude = 0n;
  for (let index = 8; index >= 0; index--) {
    const byte = bytes.getUint8(index);
    magnitude = magnitude * 100n + BigInt((byte >> 4) * 10 + (byte & 15));
  }
  const sign = bytes.getUint8(9) >> 7;
  return magnitude === 0n ? F80.zero(sign) : round(F80, status, sign, magnitude, 0);
}

/** FBSTP: `value` rounded to an integer, into ten bytes; out of range is invalid and stores the indefinite. */
export function f80ToDecimal(bytes: DataView, value: F80, status: FloatStatus): void {
  const { flags } = status;
  const integer = toInteger(F80, status, value, 64, status.rounding);
  let magnitude = integer < 0n ? -integer : integer;
  if ((status.flags & ~flags & Exception.invalid) !== 0 || magnitude >= LIMIT) {
    status.flags = flags | Exception.invalid;
    status.roundedUp = false;
    storeDecimalIndefinite(bytes);
    return;
  }
  for (let index = 0; index < 9; index++) {
    const pair = Number(magnitude % 100n);
    magnitude /= 100n;
    bytes.setUint8(index, (Math.floor(pair / 10) << 4) | (pair % 10));
  }
  bytes.setUint8(9, (value.signExponent >>> 8) & 0x80);
}

/** Stores the packed decimal indefinite. */
export function storeDecimalIndefinite(bytes: DataView): void {
  INDEFINITE.forEach((byte, index) => bytes.setUint8(index, byte));
}
