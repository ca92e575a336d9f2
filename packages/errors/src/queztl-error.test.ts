import { expect, test } from "vitest";
import { defineErrors, isQueztlError } from "./index.ts";

const fault = defineErrors({
  QZ_TEST_FULL: { status: "exhausted", message: "{what} is full; remove {count} files" },
});

test("a code and its details → the filled message, status and cause", () => {
  const cause = new Error("ENOSPC");
  const error = fault("QZ_TEST_FULL", { what: "the disk", count: 3 }, { cause });
  expect(error.message).toBe("the disk is full; remove 3 files");
  expect(error).toMatchObject({ code: "QZ_TEST_FULL", status: "exhausted", cause });
  expect(isQueztlError(error)).toBe(true);
  expect(isQueztlError(error, "QZ_OTHER")).toBe(false);
  expect(isQueztlError(cause)).toBe(false);
});

test("a place without a detail, even one named like Object's own members → left as written", () => {
  expect(fault("QZ_TEST_FULL", {}).message).toBe("{what} is full; remove {count} files");
});
