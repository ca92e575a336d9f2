import fc from "fast-check";
import { expect, test } from "vitest";
import { isQueztlError } from "@queztl/errors";
import { parseElf } from "./elf.ts";
import { makeElf } from "./testing/kernels.ts";

test("a 64-bit ELF with a PVH note → its segments and both entries", () => {
  const bytes = new TextEncoder().encode("text");
  const virtual = 0xffff_ffff_8100_0000n;
  const elf = parseElf(
    makeElf({
      pvhEntry: 0x100_0850,
      entry: 0x100_0000n,
      segments: [{ physical: 0x100_0000, virtual, bytes, memoryBytes: 0x2000 }],
    }),
  );
  expect(elf).toEqual({
    bits: 64,
    entry: 0x100_0000n,
    pvhEntry: 0x100_0850,
    segments: [{ physical: 0x100_0000, virtual, bytes, memoryBytes: 0x2000 }],
  });
});

test("a 32-bit ELF → its segments, no PVH entry", () => {
  const elf = parseElf(makeElf({ bits: 32, entry: 0x10_000cn, pvhEntry: 0x10_0000 }));
  expect(elf).toMatchObject({ bits: 32, entry: 0x10_000cn, pvhEntry: 0x10_0000 });
});

test("ELF files that are no x86 kernels → coded errors", () => {
  const many = Array.from({ length: 200 }, () => ({ physical: 0, bytes: new Uint8Array(1) }));
  const cases = [
    [makeElf({ machine: 183 }), "QZ_BOOT_WRONG_ARCHITECTURE", /arm64/],
    [makeElf({ machine: 0x1234 }), "QZ_BOOT_WRONG_ARCHITECTURE", /4660/],
    [makeElf({ type: 1 }), "QZ_BOOT_UNKNOWN_KERNEL", /executable/],
    [makeElf({ segments: many }), "QZ_BOOT_MALFORMED", /200 program headers/],
    [makeElf({ segments: [] }), "QZ_BOOT_UNKNOWN_KERNEL", /nothing to load/],
    [makeElf().subarray(0, -1), "QZ_BOOT_TRUNCATED", /cut short/],
    [makeElf().subarray(0, 40), "QZ_BOOT_TRUNCATED", /cut short/],
    [new Uint8Array(100), "QZ_BOOT_UNKNOWN_KERNEL", /no ELF/],
  ] as const;
  for (const [file, code, message] of cases) {
    expect(() => parseElf(file)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
  }
});

test("an ELF file with any bytes altered → read, or a coded error", () => {
  const file = makeElf({ pvhEntry: 0x100_0000 });
  const change = fc.tuple(fc.nat(file.length - 1), fc.nat(255));
  fc.assert(
    fc.property(fc.array(change, { maxLength: 8 }), fc.nat(file.length), (changes, length) => {
      const bytes = file.slice(0, length);
      for (const [at, value] of changes) if (at < length) bytes[at] = value;
      try {
        parseElf(bytes);
      } catch (error) {
        expect(isQueztlError(error), String(error)).toBe(true);
      }
    }),
    { numRuns: 1000 },
  );
});
