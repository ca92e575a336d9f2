import { execFileSync } from "node:child_process";
import { gzipSync, zstdCompressSync } from "node:zlib";
import * as lzma from "@napi-rs/lzma/lzma";
import fc from "fast-check";
import { expect, test } from "vitest";
import { isQueztlError } from "@queztl/errors";
import { decompress, decompressStream, detectCompression } from "./compression.ts";
import { decompressBlock } from "./lz4.ts";

const text = Array.from({ length: 200 }, (_, i) => `line ${i + 1} of the text, line ${i + 1}\n`);
const plain = new TextEncoder().encode(text.join(""));

/** `plain`, compressed by `xz --check=crc32 --x86 --lzma2=dict=32MiB` as kernel builds do. */
const XZ_X86 = Buffer.from(
  "/Td6WFoAAAFpIt42AgEEACEBGgAByYCz4BdfAfNdADYaSh8IoCuxbQad+LKKIkUYs3Iu4I28s5EfQmUvYV2nKTGwM1DigY5yXyUYR8gO5S16kYfUz20AqHncYrCqMaT7KabS0LrTwOSxPAo+O8RsXjmR/cbJ0PSS9YZuy37a3jy5o/Z+30JB+n5TQlY3mAemD9zuIUdR8c+J9fqHZrhQ1Cy3FjQQk7bPpgq0DZexFZBfUqKUQqEfEC7glsQWaA+SQf7whpuv/qRfES7ZMAlgetY/W2hXbJaS3YTOu+8O2BN8GYWPwCepA1OZOQeGF/I5YoQ3KHtGz9t/B7tOHomgdVyK/LAI4QFJMyNerQcahuKYAp9qrCvu+V4xbYXtO4iWoXLkhovQcTR6pPKa+VJfijruxNrchEHrtNuEN9k9I1bqeCYpKbFsWd4UQyym9hXLQ2IsgbYAPm3vcCkVVCuKB77GhP26bZx21rYw7tVwSLBhVze0E72AZnlhWHnTSoHx4b2E2pP70nQmqVKx8Kla6gcMAMDWZLsOdPoKJIDQPdT5n/it5RnRx8bmcPdnFrBtxPw6+kzFh9oE7Ifow8B3tHoR8TBN3a5qv/Uhv0SBKuGgp5OfgaVrS08uQY4irxv1O0yeRKS84gqzrNcF3wTKiapTLeqToJQRAQrPV8vdtFJcNKpFF1xBS4h5w+B2HZbJgCAAAEdbH4UAAYsE4C4AANS8DqY+MA2LAgAAAAABWVo=",
  "base64",
);

test("each readable format → the same plain bytes", async () => {
  const compressed = [gzipSync(plain), zstdCompressSync(plain), XZ_X86, await lzma.compress(plain)];
  expect(compressed.map((bytes) => detectCompression(bytes))).toEqual([
    "gzip",
    "zstd",
    "xz",
    "lzma",
  ]);
  for (const bytes of compressed) expect(await decompress(bytes)).toEqual(plain);
});

const hasLz4 = (() => {
  try {
    execFileSync("lz4", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

test.skipIf(!hasLz4)("what the lz4 program writes with -l → the same bytes", async () => {
  const large = new Uint8Array(9 << 20).map((_, i) => (i * i) >> 5);
  for (const bytes of [plain, large]) {
    const frame = execFileSync("lz4", ["-l", "-q", "-c"], { input: bytes, maxBuffer: 64 << 20 });
    expect(detectCompression(frame)).toBe("lz4");
    expect(Buffer.compare(await decompress(frame), bytes)).toBe(0);
  }
});

test("an LZ4 block with overlapping matches and long lengths → its text", () => {
  const block = [0x1f, 0x61, 0x01, 0x00, 0xff, 0x02, 0x50, 0x62, 0x63, 0x64, 0x65, 0x66];
  const run = 1 + 15 + 255 + 2 + 4;
  expect(new TextDecoder().decode(decompressBlock(new Uint8Array(block), 1000))).toBe(
    `${"a".repeat(run)}bcdef`,
  );
});

test("damaged LZ4 blocks → QZ_BOOT_DECOMPRESSION", () => {
  const blocks = [
    [0x10], // its literal is missing
    [0xf0, 0xff], // its length is cut
    [0x10, 0x61, 0x01], // its offset is cut
    [0x10, 0x61, 0x00, 0x00], // offset 0
    [0x10, 0x61, 0x02, 0x00], // before the beginning
    [0x10, 0x61, 0x01, 0x00], // ends in a match
    [0x1f, 0x61, 0x01, 0x00, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00], // longer than a block may be
  ];
  for (const block of blocks) {
    expect(() => decompressBlock(new Uint8Array(block), 1000)).toThrow(
      expect.objectContaining({ code: "QZ_BOOT_DECOMPRESSION" }),
    );
  }
});

test("more than the limit → QZ_BOOT_TOO_LARGE", async () => {
  for (const bytes of [gzipSync(plain), zstdCompressSync(plain), XZ_X86]) {
    const code = "QZ_BOOT_TOO_LARGE";
    await expect(decompress(bytes, { limit: 1000 })).rejects.toMatchObject({ code });
  }
});

test("bytes in no format, or one that cannot be read → QZ_BOOT_COMPRESSION", async () => {
  const code = "QZ_BOOT_COMPRESSION";
  await expect(decompress(plain)).rejects.toMatchObject({ code });
  await expect(decompress(plain, { format: "lzo" })).rejects.toMatchObject({ code });
  await expect(decompressStream(new ReadableStream(), "bzip2")).rejects.toMatchObject({ code });
});

test("cut or altered data of any format → plain bytes or a coded error, never a hang", async () => {
  const samples = [gzipSync(plain), zstdCompressSync(plain), XZ_X86, await lzma.compress(plain)];
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...samples),
      fc.nat(),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      async (sample, cut, at, flip) => {
        const bytes = new Uint8Array(sample.subarray(0, sample.length - (cut % 64)));
        bytes[at % bytes.length] = (bytes[at % bytes.length] ?? 0) ^ flip;
        try {
          await decompress(bytes, { limit: 1 << 20 });
        } catch (error) {
          expect(isQueztlError(error), String(error)).toBe(true);
        }
      },
    ),
    { numRuns: 200 },
  );
});
