import { closeSync, openSync, readSync } from "node:fs";

/** Executable bytes of an ELF file and where they lie. */
export interface ElfText {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly mode: 32 | 64;
}

/**
 * Reads up to `limit` bytes of the largest executable load segment of an x86 ELF file, from `skip` bytes on; nothing where the file is
 * something else (ELF-64 and ELF-32 little-endian; machines 3 and 62).
 */
export function readElfText(path: string, skip = 0, limit = Infinity): ElfText | undefined {
  const file = openSync(path, "r");
  try {
    const read = (position: number, length: number): DataView => {
      const buffer = new Uint8Array(length);
      const got = readSync(file, buffer, 0, length, position);
      return new DataView(buffer.buffer, 0, got);
    };
    const header = read(0, 64);
    if (header.byteLength < 64 || header.getUint32(0) !== 0x7f454c46) return undefined;
    const wide = header.getUint8(4) === 2;
    const machine = header.getUint16(18, true);
    if (machine !== 62 && machine !== 3) return undefined;
    const table = wide ? Number(header.getBigUint64(32, true)) : header.getUint32(28, true);
    const entrySize = header.getUint16(wide ? 54 : 42, true);
    const count = header.getUint16(wide ? 56 : 44, true);
    const segments = read(table, entrySize * count);
    let largest: { address: bigint; offset: number; size: number } | undefined;
    for (let i = 0; i < count; i++) {
      const at = i * entrySize;
      const word = (index: number): bigint =>
        wide
          ? segments.getBigUint64(at + 8 * index, true)
          : BigInt(segments.getUint32(at + 4 * index, true));
      const flags = segments.getUint32(at + (wide ? 4 : 24), true);
      const size = Number(word(4));
      if (segments.getUint32(at, true) !== 1 || (flags & 1) === 0) continue;
      if (largest !== undefined && largest.size >= size) continue;
      largest = { address: word(2), offset: Number(word(1)), size };
    }
    if (largest === undefined) return undefined;
    const length = Math.min(limit, largest.size - skip);
    const view = read(largest.offset + skip, Math.max(0, length));
    const bytes = new Uint8Array(view.buffer, 0, view.byteLength);
    return { address: largest.address + BigInt(skip), bytes, mode: wide ? 64 : 32 };
  } finally {
    closeSync(file);
  }
}
