import { isQueztlError } from "@queztl/errors";
import { ByteView } from "./byte-view.ts";
import { bootError } from "./errors.ts";
import { decompressLz4Legacy } from "./lz4.ts";

/** The compressed formats that can be told by their first bytes. */
export type CompressionFormat = "gzip" | "xz" | "lzma" | "lz4" | "zstd" | "bzip2" | "lzo";

const MAGICS: readonly { readonly format: CompressionFormat; readonly bytes: readonly number[] }[] =
  [
    { format: "gzip", bytes: [0x1f, 0x8b] },
    { format: "xz", bytes: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00] },
    { format: "zstd", bytes: [0x28, 0xb5, 0x2f, 0xfd] },
    { format: "lz4", bytes: [0x02, 0x21, 0x4c, 0x18] },
    { format: "bzip2", bytes: [0x42, 0x5a, 0x68] },
    { format: "lzo", bytes: [0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a] },
    { format: "lzma", bytes: [0x5d, 0x00, 0x00] },
  ];

/** The format that `bytes` begin with, or undefined when they are not compressed in a known one. */
export function detectCompression(bytes: Uint8Array): CompressionFormat | undefined {
  return MAGICS.find((magic) => magic.bytes.every((byte, i) => bytes[i] === byte))?.format;
}

/** The most a single decompression yields unless the caller says otherwise: 1 GiB. */
export const DEFAULT_DECOMPRESSED_LIMIT = 1 << 30;

/** A stream of plain bytes out of a stream of bytes compressed with `format`. */
type Decompressor = (compressed: ReadableStream<Uint8Array>) => Promise<ReadableStream<Uint8Array>>;

const DECOMPRESSORS: Partial<Record<CompressionFormat, Decompressor>> = {
  gzip: async (compressed) =>
    compressed.pipeThrough(
      new DecompressionStream("gzip") as TransformStream<Uint8Array, Uint8Array>,
    ),
  xz: async (compressed) => (await import("@napi-rs/lzma/xz")).decompressStream(compressed),
  lzma: async (compressed) => (await import("@napi-rs/lzma/lzma")).decompressStream(compressed),
  zstd: async (compressed) => {
    const { Decompress } = await import("fzstd");
    let zstd: InstanceType<typeof Decompress>;
    return compressed.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        start: (controller) => {
          zstd = new Decompress((chunk) => controller.enqueue(chunk));
        },
        transform: (chunk) => void zstd.push(chunk),
        flush: () => void zstd.push(new Uint8Array(0), true),
      }),
    );
  },
};

/**
 * Decompresses a stream chunk by chunk, without holding the whole.
 * @param format gzip, xz, lzma or zstd.
 * @throws QZ_BOOT_COMPRESSION for a format that cannot be streamed; what the stream's own reads throw is the library's.
 */
export async function decompressStream(
  compressed: ReadableStream<Uint8Array>,
  format: CompressionFormat,
): Promise<ReadableStream<Uint8Array>> {
  const decompressor = DECOMPRESSORS[format];
  if (!decompressor) throw bootError("QZ_BOOT_COMPRESSION", { what: "the stream", format });
  return decompressor(compressed);
}

/** How to decompress. */
export interface DecompressOptions {
  /** The format; told by the first bytes when left out. */
  readonly format?: CompressionFormat;
  /** The most bytes to produce; default 1 GiB. */
  readonly limit?: number;
}

/**
 * Decompresses gzip, xz, lzma, lz4 (the legacy frame of kernel builds) or zstd data in memory.
 * @throws QZ_BOOT_COMPRESSION for another format, QZ_BOOT_DECOMPRESSION for damaged data,
 * QZ_BOOT_TOO_LARGE past the limit.
 */
export async function decompress(
  bytes: Uint8Array,
  options: DecompressOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const { format = detectCompression(bytes), limit = DEFAULT_DECOMPRESSED_LIMIT } = options;
  if (format === undefined) {
    throw bootError("QZ_BOOT_COMPRESSION", { what: "the data", format: "an unknown format" });
  }
  if (format === "lz4") return decompressLz4Legacy(bytes, limit);
  try {
    const plain = await decompressStream(streamOf(bytes), format);
    return await collect(plain, limit);
  } catch (cause) {
    if (isQueztlError(cause)) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw bootError("QZ_BOOT_DECOMPRESSION", { format, reason }, { cause });
  }
}

const CHUNK_BYTES = 1 << 18;

function streamOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.subarray(at, at + CHUNK_BYTES));
      at += CHUNK_BYTES;
    },
  });
}

async function collect(
  stream: ReadableStream<Uint8Array>,
  limit: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const reader = stream.getReader();
  const chunks: Uint8Array[] = [];
  let total = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    total += value.length;
    if (total > limit) {
      // The source may keep failing after this; the limit is what the caller must hear about.
      reader.cancel().catch(() => undefined);
      throw bootError("QZ_BOOT_TOO_LARGE", { what: "the decompressed data", limit });
    }
  }
  const whole = new Uint8Array(total);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

/**
 * Splits the payload of a bzImage into its compressed data: every format but gzip (which holds its own) is
 * followed by the uncompressed length in four bytes (Linux scripts/Makefile.lib, size_append).
 */
export function kernelPayload(payload: Uint8Array): {
  format: CompressionFormat | undefined;
  data: Uint8Array;
  uncompressedBytes: number;
} {
  const view = new ByteView(payload, "the kernel's payload");
  const format = detectCompression(payload);
  const uncompressedBytes = view.u32(payload.length - 4);
  const data = format === "gzip" ? payload : payload.subarray(0, payload.length - 4);
  return { format, data, uncompressedBytes };
}
