import fc from "fast-check";
import { expect, test } from "vitest";
import { LineReader } from "./line-reader.ts";

test("lines cut anywhere → the same lines, in order", () => {
  fc.assert(
    fc.property(fc.array(fc.string()), fc.array(fc.nat(20)), (texts, cuts) => {
      const lines = texts.map((text) => text.replaceAll("\n", ""));
      const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""));
      const reader = new LineReader(10_000);
      const seen: string[] = [];
      let at = 0;
      for (const cut of [...cuts, bytes.length]) {
        reader.push(bytes.subarray(at, at + cut), (line) => {
          seen.push(line);
          return true;
        });
        at += cut;
      }
      // As UTF-8 has them: lone surrogates are none.
      expect(seen).toEqual(lines.map((line) => Buffer.from(line).toString()));
    }),
  );
});

test("a line that ends the protocol → the rest is given back as it came", () => {
  const reader = new LineReader(100);
  const lines: string[] = [];
  const rest = reader.push(Buffer.from("one\ntwo\nraw\nbytes"), (line) => lines.push(line) < 2);
  expect(lines).toEqual(["one", "two"]);
  expect(String(rest)).toBe("raw\nbytes");
});

test("a line without an end → refused when it is too long, whatever pieces it comes in", () => {
  const reader = new LineReader(10);
  const never = (): boolean => expect.unreachable();
  expect(reader.push(Buffer.from("1234567890"), never)).toBeUndefined();
  expect(() => reader.push(Buffer.from("1"), never)).toThrow(RangeError);
});
