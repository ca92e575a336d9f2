/** Adds bytes to a ones' complement sum (RFC 1071); `from` must be where 16-bit words begin. Not folded. */
export function addWords(bytes: Uint8Array, from: number, to: number, sum = 0): number {
  const even = from + ((to - from) & ~1);
  let high = 0;
  let low = 0;
  for (let i = from; i < even; i += 2) {
    high += bytes[i] as number;
    low += bytes[i + 1] as number;
  }
  if (even < to) high += bytes[even] as number;
  return sum + high * 256 + low;
}

/** Folds a sum to 16 bits. */
export function fold(sum: number): number {
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return sum;
}

/** The checksum of bytes, to be stored big-endian. */
export function checksum(bytes: Uint8Array, from: number, to: number, sum = 0): number {
  return ~fold(addWords(bytes, from, to, sum)) & 0xffff;
}
