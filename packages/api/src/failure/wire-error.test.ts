import { QueztlError } from "@queztl/errors";
import fc from "fast-check";
import { expect, test } from "vitest";
import { fromWireError, toWireError } from "./wire-error.ts";

const entry = { status: "exhausted" as const, message: "{what} is full" };
const overTheWire = (error: QueztlError) =>
  fromWireError(JSON.parse(JSON.stringify(toWireError(error))));

test("an error over the wire → its code, status, message and details; no stack, no cause", () => {
  const cause = new Error("password=hunter2");
  const error = new QueztlError("QZ_TEST_FULL", entry, { what: "the disk", left: 0.5 }, { cause });
  const sent = toWireError(error);
  expect(JSON.stringify(sent)).not.toMatch(/hunter2|wire-error\.test/);
  const received = fromWireError(sent);
  expect(received).toBeInstanceOf(QueztlError);
  expect(received).toMatchObject({
    code: "QZ_TEST_FULL",
    status: "exhausted",
    message: "the disk is full",
    details: { what: "the disk", left: 0.5 },
  });
});

test("details that JSON does not have → strings, or left out where undefined", () => {
  const details = { what: undefined, big: 2n ** 64n, nan: Number.NaN, yes: true };
  expect(toWireError(new QueztlError("QZ_TEST_FULL", entry, details)).details).toEqual({
    big: "18446744073709551616",
    nan: "NaN",
    yes: true,
  });
});

test("a message with places in it, as a guest's text may have → not filled again", () => {
  const text = "{what} {message} {code}";
  const received = overTheWire(new QueztlError("QZ_TEST_FULL", entry, { what: text }));
  expect(received?.message).toBe("{what} {message} {code} is full");
  expect(received?.details).toEqual({ what: text });
});

test("terminal escapes from a foreign server → shown, not obeyed", () => {
  const sent = { code: "QZ_X", status: "internal", message: "\u001b[2J", details: {} };
  expect(fromWireError(sent)?.message).toBe("\\u{1b}[2J");
});

test("any details → an error of bounded size comes through", () => {
  const value = fc.oneof(fc.string(), fc.double(), fc.boolean(), fc.bigInt());
  fc.assert(
    fc.property(fc.dictionary(fc.string({ maxLength: 64 }), value), (details) => {
      const received = overTheWire(new QueztlError("QZ_TEST_FULL", entry, details));
      expect(received?.code).toBe("QZ_TEST_FULL");
      expect(Object.keys(received?.details ?? {}).length).toBeLessThanOrEqual(32);
    }),
  );
  const long = new QueztlError("QZ_TEST_FULL", entry, { what: "a".repeat(1e6) });
  expect(JSON.stringify(toWireError(long)).length).toBeLessThan(10_000);
});

test("anything else → undefined", () => {
  fc.assert(
    fc.property(fc.anything(), (value) => {
      expect(fromWireError(value)).toBeUndefined();
    }),
  );
});
