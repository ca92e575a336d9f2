import { ByteView } from "./byte-view.ts";
import { bootError } from "./errors.ts";

/** First word of the LZ4 "legacy" frame (`lz4 -l`), the one the Linux kernel build uses. */
export const LZ4_LEGACY_MAGIC = 0x184c2102;

/** Uncompressed size of every block of a legacy frame but the last. */
const BLOCK_BYTES = 8 << 20;

/**
 * Decompresses an LZ4 legacy frame: blocks of a compressed length and that many bytes, until the data
 * ends. A second frame may follow directly.
 * @param limit the most bytes to produce.
 * @throws QZ_BOOT_DECOMPRESSION, QZ_BOOT_TOO_LARGE
 */
export function decompressLz4Legacy(frame: Uint8Array, limit: number): Uint8Array<ArrayBuffer> {
  const view = new ByteView(frame, "the lz4 data");
  const blocks: Uint8Array[] = [];
  let total = 0;
  let at = 4;
  while (at + 4 <= frame.length) {
    const length = view.u32(at);
    at += 4;
    if (length === LZ4_LEGACY_MAGIC) continue;
    const block = decompressBlock(view.slice(at, length), BLOCK_BYTES);
    at += length;
    total += block.length;
    if (total > limit) throw bootError("QZ_BOOT_TOO_LARGE", { what: "the lz4 data", limit });
    blocks.push(block);
  }
  const output = new Uint8Array(total);
  let end = 0;
  for (const block of blocks) {
    output.set(block, end);
    end += block.length;
  }
  return output;
}

/**
 * Decompresses one LZ4 block (LZ4 Block Format Description): sequences of literals and a match, the last
 * with literals only.
 * @param most the most bytes a well-formed block holds.
 * @throws QZ_BOOT_DECOMPRESSION
 */
export function decompressBlock(block: Uint8Array, most: number): Uint8Array<ArrayBuffer> {
  // A byte of input yields at most 255 bytes of output, so that a short block reserves little.
  const output = new Uint8Array(Math.min(most, block.length * 255));
  let at = 0;
  let end = 0;
  const damaged = (reason: string) =>
    bootError("QZ_BOOT_DECOMPRESSION", { format: "lz4", reason: `${reason} at byte ${at}` });
  const extend = (length: number): number => {
    if (length !== 15) return length;
    for (;;) {
      const more = block[at++];
      if (more === undefined) throw damaged("a length is cut");
      length += more;
      if (more !== 255) return length;
    }
  };
  while (at < block.length) {
    const token = block[at++] as number;
    const literals = extend(token >> 4);
    if (at + literals > block.length) throw damaged("literals are cut");
    if (end + literals > output.length) throw damaged("a block is too long");
    output.set(block.subarray(at, at + literals), end);
    at += literals;
    end += literals;
    if (at === block.length) return output.subarray(0, end);

    const low = block[at++] as number;
    const high = block[at++];
    if (high === undefined) throw damaged("an offset is cut");
    const distance = low | (high << 8);
    const length = extend(token & 15) + 4;
    if (distance === 0 || distance > end) throw damaged("a match begins before the block");
    if (end + length > output.length) throw damaged("a block is too long");
    if (distance >= length) output.copyWithin(end, end - distance, end - distance + length);
    else for (let i = 0; i < length; i++) output[end + i] = output[end + i - distance] as number;
    end += length;
  }
  throw damaged("a block ends in a match");
}
