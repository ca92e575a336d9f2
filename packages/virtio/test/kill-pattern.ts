import { pattern } from "../src/testing/driver.ts";

/** What the writer of `kill.test.ts` writes where: write `n` goes to a block that depends on `n` alone. */
export const CAPACITY = 16 * 1024 * 1024;
export const BLOCK_BYTES = 8192;
export const BLOCKS = CAPACITY / BLOCK_BYTES;

export const blockAt = (n: number): number => Math.imul(n, 769) % BLOCKS;

/** 8 KiB that name their write and hold no zeroes where it matters. */
export function contentOf(n: number): Uint8Array {
  const bytes = pattern(BLOCK_BYTES, n + 1);
  new DataView(bytes.buffer).setUint32(0, n);
  return bytes;
}
