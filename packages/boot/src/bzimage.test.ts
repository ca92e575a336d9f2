import { zstdCompressSync, gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { extractVmlinux, isBzImage, parseSetupHeader } from "./bzimage.ts";
import { makeBzImage, makeElf } from "./testing/kernels.ts";

const elf = makeElf();

function withLength(data: Uint8Array, length: number): Uint8Array {
  const bytes = new Uint8Array(data.length + 4);
  bytes.set(data);
  new DataView(bytes.buffer).setUint32(data.length, length, true);
  return bytes;
}

test("a bzImage → what its setup header says", () => {
  expect(parseSetupHeader(makeBzImage())).toMatchObject({
    version: 0x20f,
    kernelOffset: 1024,
    preferredAddress: 0x100_0000,
    relocatable: true,
    alignment: 0x20_0000,
    commandLineBytes: 2047,
    initrdAddressMax: 0x7fff_ffff,
    kernelVersion: "6.1.0-test (nobody@nowhere)",
  });
});

test("a 32-bit bzImage, and one of a protocol before the 64-bit entry → no 64-bit entry", () => {
  expect(parseSetupHeader(makeBzImage()).entry64).toBe(true);
  for (const options of [{ xloadflags: 0 }, { protocol: 0x20b }, { protocol: 0x20a }]) {
    expect(parseSetupHeader(makeBzImage(options)).entry64).toBe(false);
  }
});

test("a boot protocol before 2.10, and a zImage → QZ_BOOT_UNSUPPORTED", () => {
  for (const options of [{ protocol: 0x209 }, { protocol: 0x204 }, { loadFlags: 0 }]) {
    expect(() => parseSetupHeader(makeBzImage(options))).toThrow(
      expect.objectContaining({ code: "QZ_BOOT_UNSUPPORTED" }),
    );
  }
});

test("other bytes → no bzImage", () => {
  expect(isBzImage(new Uint8Array(4096))).toBe(false);
  expect(() => parseSetupHeader(elf)).toThrow(
    expect.objectContaining({ code: "QZ_BOOT_UNKNOWN_KERNEL" }),
  );
});

test("gzip, zstd and plain payloads → the ELF kernel", async () => {
  const payloads = [gzipSync(elf), withLength(zstdCompressSync(elf), elf.length), elf];
  for (const payload of payloads) {
    expect(await extractVmlinux(makeBzImage({ payload }))).toEqual(elf);
  }
});

test("a payload that is no ELF, of the wrong length or in no known format → coded errors", async () => {
  const text = new TextEncoder().encode("not a kernel");
  const cases = [
    [withLength(zstdCompressSync(text), text.length), "QZ_BOOT_MALFORMED"],
    [withLength(zstdCompressSync(elf), elf.length + 1), "QZ_BOOT_DECOMPRESSION"],
    [new Uint8Array([9, 9, 9, 9, 9, 9]), "QZ_BOOT_COMPRESSION"],
    [new Uint8Array([0x42, 0x5a, 0x68, 9, 9, 9, 9]), "QZ_BOOT_COMPRESSION"],
    [new Uint8Array(0), "QZ_BOOT_TRUNCATED"],
  ] as const;
  for (const [payload, code] of cases) {
    await expect(extractVmlinux(makeBzImage({ payload }))).rejects.toMatchObject({ code });
  }
});

test("a payload larger than the limit → QZ_BOOT_TOO_LARGE", async () => {
  const image = makeBzImage({ payload: gzipSync(elf) });
  await expect(extractVmlinux(image, 100)).rejects.toMatchObject({ code: "QZ_BOOT_TOO_LARGE" });
});
