import fc from "fast-check";
import { expect, test } from "vitest";
import { printable, printableLine } from "./printable.ts";

test.each([
  ["a cleared screen", "\u001b[2Jgone", "gone"],
  ["a title", "\u001b]0;owned\u0007x", "x"],
  ["a hyperlink", "\u001b]8;;http://evil\u0007here\u001b]8;;\u0007", "here"],
  ["a carriage return over a prompt", "safe\rrm -rf", "saferm -rf"],
  ["lines of DOS", "a\r\nb", "a\nb"],
  ["text turned round", "abc\u202edcba", "abcdcba"],
  ["an emoji of several people", "👩‍🚀", "👩‍🚀"],
])("%s → shown without its power", (_, text, shown) => {
  expect(printable(text)).toBe(shown);
});

test.each(["\u001b", "\u001b]", "\u001b[", "\u009b;", "\u001bP", "\u001b "])(
  "a guest that repeats %j 64 KiB long → made printable in linear time",
  (text) => {
    const started = process.cpuUsage();
    const once = printable(text.repeat(65_536 / text.length));
    expect(once).not.toContain("\u001b");
    // The quadratic way takes seconds.
    expect(process.cpuUsage(started).user).toBeLessThan(1_000_000);
  },
);

test("any text → no control character but line ends and tabs; one line where one is wanted", () => {
  const unit = fc.integer({ min: 0, max: 0x20ff }).map((code) => String.fromCharCode(code));
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 40 }), (text) => {
      expect(printable(text)).not.toMatch(/[^\P{Cc}\n\t]|[\u202a-\u202e\u2066-\u2069]/u);
      expect(printableLine(text)).not.toMatch(/[\n\t]/);
    }),
  );
});
