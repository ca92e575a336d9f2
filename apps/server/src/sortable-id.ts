import { randomBytes } from "node:crypto";

const DIGITS = "0123456789abcdefghjkmnpqrstvwxyz";
let last = 0n;

/**
 * An id whose order as text is the order of its making: 48 bits of milliseconds and 52 random bits as 20
 * digits of base 32 (Crockford's). Within one process each is larger than the one before.
 */
export function sortableId(kind: string, now: number = Date.now()): string {
  const random = randomBytes(7).readUIntBE(0, 6) * 16 + (randomBytes(1)[0] ?? 0) / 16;
  const fresh = (BigInt(now) << 52n) | BigInt(Math.floor(random));
  last = fresh > last ? fresh : last + 1n;
  let digits = "";
  for (let rest = last, place = 0; place < 20; place += 1, rest >>= 5n) {
    digits = `${DIGITS[Number(rest & 31n)] ?? ""}${digits}`;
  }
  return `${kind}-${digits}`;
}
