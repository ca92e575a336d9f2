import fc from "fast-check";
import { expect, test } from "vitest";
import { buffer, eisaId, integer, namePath, packageOf, scope, string } from "./aml.ts";

const hex = (aml: readonly number[]) => Buffer.from(aml).toString("hex");

test("integers → the shortest constants", () => {
  expect([0, 1, 0xff, 0x100, 0x1_0000, 0x1_0000_0000].map((n) => hex(integer(n)))).toEqual([
    "00",
    "01",
    "0aff",
    "0b0001",
    "0c00000100",
    "0e0000000001000000",
  ]);
});

test("identifiers and paths → as the specification encodes them", () => {
  expect(hex(eisaId("PNP0A03"))).toBe("0c41d00a03");
  expect(hex(namePath("\\_SB"))).toBe("5c5f53425f");
  expect(hex(namePath("_SB_.PCI0"))).toBe("2e5f53425f50434930");
  expect(hex(namePath("\\_SB.PCI0.S08"))).toBe("5c2f035f53425f504349305330385f");
});

test("bodies of growing size → a package length that counts itself", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 70_000 }), (length) => {
      const encoded = buffer(Array.from({ length }, () => 7));
      const lead = encoded[1] ?? 0;
      const extra = lead >> 6;
      let total = extra === 0 ? lead & 0x3f : lead & 0xf;
      for (let i = 0; i < extra; i++) total += (encoded[2 + i] ?? 0) * 2 ** (4 + 8 * i);
      expect(total).toBe(encoded.length - 1);
    }),
    { numRuns: 50 },
  );
});

test("what AML cannot say → QZ_BOOT_ACPI", () => {
  const wrong = [
    () => eisaId("PNP0A0"),
    () => string("ä"),
    () => namePath("toolong"),
    () => scope("1ABC"),
    () => integer(2n ** 64n),
    () => integer(-1),
    () => packageOf(...Array.from({ length: 256 }, () => [0])),
  ];
  for (const build of wrong) {
    expect(build).toThrow(expect.objectContaining({ code: "QZ_BOOT_ACPI" }));
  }
});
