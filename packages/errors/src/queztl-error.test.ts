import fc from "fast-check";
import { expect, expectTypeOf, test } from "vitest";
import { QueztlError, defineErrors, isQueztlError } from "./index.ts";

const fault = defineErrors({
  QZ_TEST_FULL: { status: "exhausted", message: "{what} is full; remove {count} files" },
  QZ_TEST_TEXT: { status: "invalid", message: "{text}" },
});

test("a code and its details → the filled message, status, details and cause", () => {
  const cause = new Error("ENOSPC");
  const error = fault("QZ_TEST_FULL", { what: "the disk", count: 3 }, { cause });
  expect(error).toBeInstanceOf(QueztlError);
  expect(error.message).toBe("the disk is full; remove 3 files");
  expect(error).toMatchObject({
    name: "QueztlError",
    code: "QZ_TEST_FULL",
    status: "exhausted",
    details: { what: "the disk", count: 3 },
    cause,
  });
});

test("a place without a detail, even one named like Object's own members → left as written", () => {
  const odd = defineErrors({ QZ_TEST_ODD: { status: "invalid", message: "{constructor} {gone}" } });
  expect(odd("QZ_TEST_ODD", {}).message).toBe("{constructor} {gone}");
});

test("a detail that itself looks like a place → is not filled again", () => {
  expect(fault("QZ_TEST_FULL", { what: "{count}", count: 1 }).message).toBe(
    "{count} is full; remove 1 files",
  );
});

test("any text as a detail → one printable line of bounded length; details keep it whole", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 700 }), (text) => {
      const error = fault("QZ_TEST_TEXT", { text });
      expect(error.message).not.toMatch(/[\p{Cc}\p{Cf}\u2028\u2029]/u);
      expect(error.message.length).toBeLessThanOrEqual(501 * 10);
      expect(error.details["text"]).toBe(text);
    }),
    { numRuns: 50 },
  );
});

test("a terminal escape and a forged log line as a detail → shown, not obeyed", () => {
  const text = "\u001b[2Jgone\nlevel=info all is well\u202e";
  expect(fault("QZ_TEST_TEXT", { text }).message).toBe(
    "\\u{1b}[2Jgone\\u{a}level=info all is well\\u{202e}",
  );
});

test("a code that is not in the catalogue → a TypeError, also for names of Object's members", () => {
  const loose: (code: string) => unknown = fault as never;
  expect(() => loose("QZ_TEST_GONE")).toThrow(new TypeError("unknown error code QZ_TEST_GONE"));
  expect(() => loose("toString")).toThrow(TypeError);
});

test("isQueztlError → true for ours, by code where given; false for every other value", () => {
  const error: unknown = fault("QZ_TEST_FULL");
  expect(isQueztlError(error)).toBe(true);
  expect(isQueztlError(error, "QZ_TEST_FULL")).toBe(true);
  expect(isQueztlError(error, "QZ_OTHER")).toBe(false);
  for (const other of [new Error("x"), { code: "QZ_TEST_FULL" }, "QZ_TEST_FULL", null, undefined]) {
    expect(isQueztlError(other)).toBe(false);
  }
});

test("an error of a second copy of the package → is recognised", async () => {
  const path = "./queztl-error.ts?second-copy";
  const copy = (await import(path)) as { defineErrors: typeof defineErrors };
  const error = copy.defineErrors({ QZ_COPY: { status: "internal", message: "x" } })("QZ_COPY");
  expect(error).not.toBeInstanceOf(QueztlError);
  expect(isQueztlError(error, "QZ_COPY")).toBe(true);
});

test("the builder's codes → only those of its catalogue, checked by the compiler", () => {
  expectTypeOf(fault).parameter(0).toEqualTypeOf<"QZ_TEST_FULL" | "QZ_TEST_TEXT">();
});
