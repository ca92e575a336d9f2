/** Small synthetic kernels for tests: only headers, and bytes that can be told apart once loaded. */

function bytesOf(length: number, fill: (view: DataView, bytes: Uint8Array) => void): Uint8Array {
  const bytes = new Uint8Array(length);
  fill(new DataView(bytes.buffer), bytes);
  return bytes;
}

const utf8 = new TextEncoder();

/** A bzImage of one setup sector, protocol 2.15, with the 64-bit entry unless told otherwise. */
export function makeBzImage(
  options: {
    payload?: Uint8Array;
    protocol?: number;
    xloadflags?: number;
    loadFlags?: number;
    preferredAddress?: number;
    initBytes?: number;
    commandLineBytes?: number;
    initrdAddressMax?: number;
  } = {},
): Uint8Array {
  const { payload = new Uint8Array([1, 2, 3, 4]), protocol = 0x20f, xloadflags = 1 } = options;
  const kernelOffset = 1024;
  const payloadAt = 0x400;
  return bytesOf(kernelOffset + payloadAt + payload.length, (view, bytes) => {
    view.setUint8(0x1f1, 1);
    view.setUint16(0x1fe, 0xaa55, true);
    bytes.set([0xeb, 0x6a], 0x200); // jmp over the header, which ends at 0x26c
    bytes.set(utf8.encode("HdrS"), 0x202);
    view.setUint16(0x206, protocol, true);
    view.setUint16(0x20e, 0x100, true); // the version string, 0x200 further on
    view.setUint8(0x211, options.loadFlags ?? 1);
    view.setUint32(0x22c, options.initrdAddressMax ?? 0x7fff_ffff, true);
    view.setUint32(0x230, 0x20_0000, true);
    view.setUint8(0x234, 1);
    view.setUint16(0x236, xloadflags, true);
    view.setUint32(0x238, options.commandLineBytes ?? 2047, true);
    view.setUint32(0x248, payloadAt, true);
    view.setUint32(0x24c, payload.length, true);
    view.setBigUint64(0x258, BigInt(options.preferredAddress ?? 0x100_0000), true);
    view.setUint32(0x260, options.initBytes ?? 0x10_0000, true);
    bytes.set(utf8.encode("6.1.0-test (nobody@nowhere)\0"), 0x300);
    bytes.set(utf8.encode("PROTECTED"), kernelOffset);
    bytes.set(payload, kernelOffset + payloadAt);
  });
}

/** A segment of `makeElf`. */
export interface TestSegment {
  readonly physical: number;
  readonly virtual?: bigint;
  readonly bytes: Uint8Array;
  readonly memoryBytes?: number;
}

/** An ELF executable: one class of headers, a PVH note when asked for. */
export function makeElf(
  options: {
    bits?: 32 | 64;
    machine?: number;
    type?: number;
    entry?: bigint;
    segments?: readonly TestSegment[];
    pvhEntry?: number;
    /** Bytes put directly after the program headers: a multiboot header. */
    extra?: Uint8Array;
  } = {},
): Uint8Array {
  const { bits = 64, machine = bits === 64 ? 62 : 3, type = 2, pvhEntry } = options;
  const segments = options.segments ?? [
    { physical: 0x100_0000, bytes: utf8.encode("KERNEL TEXT"), memoryBytes: 0x2000 },
  ];
  const entry = options.entry ?? BigInt(segments[0]?.physical ?? 0);
  const extra = options.extra ?? new Uint8Array(0);
  const wide = bits === 64;
  const headerBytes = wide ? 64 : 52;
  const programBytes = wide ? 56 : 32;
  const count = segments.length + (pvhEntry === undefined ? 0 : 1);
  const extraAt = Math.ceil((headerBytes + count * programBytes) / 8) * 8;
  const noteAt = Math.ceil((extraAt + extra.length) / 8) * 8;
  let at = noteAt + 24;
  const offsets = segments.map(({ bytes }) => {
    const offset = at;
    at += bytes.length;
    return offset;
  });
  return bytesOf(at, (view, bytes) => {
    bytes.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1]);
    view.setUint16(16, type, true);
    view.setUint16(18, machine, true);
    if (wide) {
      view.setBigUint64(24, entry, true);
      view.setBigUint64(32, BigInt(headerBytes), true);
    } else {
      view.setUint32(24, Number(entry), true);
      view.setUint32(28, headerBytes, true);
    }
    view.setUint16(wide ? 54 : 42, programBytes, true);
    view.setUint16(wide ? 56 : 44, count, true);
    const header = (
      index: number,
      kind: number,
      fields: [offset: number, virtual: bigint, physical: number, file: number, memory: number],
    ) => {
      const base = headerBytes + index * programBytes;
      view.setUint32(base, kind, true);
      fields.forEach((value, i) => {
        if (wide) view.setBigUint64(base + 8 + i * 8, BigInt(value), true);
        else view.setUint32(base + 4 + i * 4, Number(value), true);
      });
    };
    segments.forEach((segment, index) => {
      const { physical, bytes: content, virtual = BigInt(physical) } = segment;
      const memoryBytes = segment.memoryBytes ?? content.length;
      header(index, 1, [offsets[index] ?? 0, virtual, physical, content.length, memoryBytes]);
      bytes.set(content, offsets[index]);
    });
    if (pvhEntry !== undefined) {
      header(segments.length, 4, [noteAt, 0n, 0, 20, 20]);
      view.setUint32(noteAt, 4, true);
      view.setUint32(noteAt + 4, 4, true);
      view.setUint32(noteAt + 8, 18, true);
      bytes.set(utf8.encode("Xen\0"), noteAt + 12);
      view.setUint32(noteAt + 16, pvhEntry, true);
    }
    bytes.set(extra, extraAt);
  });
}

/** A multiboot 1 header. */
export function makeMultibootHeader(flags: number, addresses: readonly number[] = []): Uint8Array {
  const words = [0x1bad_b002, flags, (2 ** 33 - 0x1bad_b002 - flags) % 2 ** 32, ...addresses];
  return bytesOf(words.length * 4, (view) => {
    words.forEach((word, index) => view.setUint32(index * 4, word, true));
  });
}
