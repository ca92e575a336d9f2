import fc from "fast-check";
import { expect, test } from "vitest";
import { Fields, decodeGuestString, encodeFields, encodeGuestString } from "./records.ts";

test("any bytes as a name → a string that gives the same bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      expect(encodeGuestString(decodeGuestString(bytes))).toEqual(bytes);
    }),
  );
});

test("any well-formed string → UTF-8; a byte that is none → a lone surrogate", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (text) => {
      expect(decodeGuestString(encodeGuestString(text))).toBe(text);
    }),
  );
  expect(decodeGuestString(Uint8Array.of(0x61, 0xff, 0xc3, 0xa4))).toBe("a\udcffä");
  expect(decodeGuestString(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61))).toBe("\ufeffa");
});

test("fields → the same keys and values in order", () => {
  const fields = new Fields(
    encodeFields([
      ["op", "exec"],
      ["arg", "a"],
      ["arg", Uint8Array.of(0xc3, 0xa4)],
    ]),
  );
  expect(fields.keys()).toEqual(["op", "arg"]);
  expect([fields.text("op"), fields.all("arg"), fields.has("none")]).toEqual([
    "exec",
    ["a", "ä"],
    false,
  ]);
});

test.each([
  ["a length beyond the end", [0, 0, 0, 9, 65]],
  ["half a length", [0, 0]],
  ["a key without a value", [0, 0, 0, 1, 65]],
])("%s → QZ_HYPERVISOR_AGENT_PROTOCOL", (_, bytes) => {
  expect(() => new Fields(Uint8Array.from(bytes))).toThrow(
    expect.objectContaining({ code: "QZ_HYPERVISOR_AGENT_PROTOCOL" }),
  );
});

test("any bytes as a message → fields or QZ_HYPERVISOR_AGENT_PROTOCOL", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      try {
        expect(new Fields(bytes).keys()).toBeInstanceOf(Array);
      } catch (error) {
        expect(error).toMatchObject({ code: "QZ_HYPERVISOR_AGENT_PROTOCOL" });
      }
    }),
  );
});

test.each(["-1", "1e3", "9999999999999999", "", "0x10", "1.5"])(
  "%j as a number → QZ_HYPERVISOR_AGENT_PROTOCOL",
  (text) => {
    expect(() => new Fields(encodeFields([["n", text]])).needed("n")).toThrow(/n is no number/);
  },
);
