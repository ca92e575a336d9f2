import fc from "fast-check";
import { expect, test } from "vitest";
import { parseProgress } from "./progress.ts";

test("a structured line → how far it is", () => {
  expect(parseProgress('queztl:{"done":0.25,"step":"grid","message":"9 x 9"}')).toEqual({
    done: 0.25,
    step: "grid",
    message: "9 x 9",
  });
});

test("a refusal → its words without control characters", () => {
  expect(parseProgress('queztl:{"error":"row 3\\u001b[31m is NaN"}')).toEqual({
    error: "row 3 [31m is NaN",
  });
});

test.each([
  ["plain text", "hello"],
  ["nothing after the prefix", "queztl:"],
  ["a number", "queztl:7"],
  ["null", "queztl:null"],
  ["more than the whole", 'queztl:{"done":2}'],
  ["a string for a number", 'queztl:{"done":"1"}'],
  ["more than 4,096 characters", `queztl:{"error":"${"x".repeat(5000)}"}`],
])("%s → a line for the log alone", (_name, line) => {
  expect(parseProgress(line)).toBeUndefined();
});

const byte = fc.nat(255).map((code) => String.fromCharCode(code));

test("anything a guest may write → no exception, bounded text without control characters", () => {
  const anything = fc.oneof(
    fc.string(),
    fc.json({ maxDepth: 1 }).map((json) => `queztl:${json}`),
    fc
      .record({
        done: fc.double(),
        step: fc.string({ unit: byte, maxLength: 40 }),
        message: fc.string({ maxLength: 40 }),
      })
      .map((value) => `queztl:${JSON.stringify(value)}`),
  );
  fc.assert(
    fc.property(anything, (line) => {
      const found = parseProgress(line);
      const texts = Object.values(found ?? {}).filter((value) => typeof value === "string");
      for (const text of texts) {
        expect(text.length).toBeLessThanOrEqual(500);
        expect(text).not.toMatch(/\p{Cc}/u);
      }
    }),
  );
});
