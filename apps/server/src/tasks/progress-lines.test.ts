import type { Progress } from "@queztl/skills";
import fc from "fast-check";
import { expect, test } from "vitest";
import { ProgressLines } from "./progress-lines.ts";

const told = (...pieces: string[]) => {
  const progress: Progress[] = [];
  const lines = new ProgressLines((said) => progress.push(said));
  // A second apart: none is too soon after another.
  const passed = pieces.map((piece, at) => lines.take(Buffer.from(piece), 1000 * (at + 1)));
  const rest = Buffer.concat([...passed, lines.end()]).toString();
  return { progress, rest, refusal: lines.refusal };
};

test("words about progress between output, in pieces → told, and taken out", () => {
  const { progress, rest } = told(
    "begun\nque",
    'ztl:{"done":0.5,"step":"grid","me',
    'ssage":"9 x 9"}\nmiddle',
    ' queztl:{"done":1}\n',
  );
  expect(progress).toEqual([{ done: 0.5, step: "grid", message: "9 x 9" }]);
  expect(rest).toBe('begun\nmiddle queztl:{"done":1}\n');
});

test("lines that only look like it, too long, or without an end → stay in the output", () => {
  const odd = `queztl:{"done":7}\nqueztl:${"x".repeat(5000)}\nqueztl:{"do`;
  expect(told(odd)).toEqual({ progress: [], rest: odd, refusal: undefined });
});

test("a refusal → its words", () => {
  expect(told('queztl:{"error":"row 3 is NaN"}\n')).toMatchObject({ refusal: "row 3 is NaN" });
});

test("many words at once → the first and the last", () => {
  const lines = [0.1, 0.2, 0.3, 1].map((done) => `queztl:${JSON.stringify({ done, step: "s" })}\n`);
  expect(told(lines.join("")).progress.map(({ done }) => done)).toEqual([0.1, 1]);
});

test("any output, cut anywhere → passes through whole where it says nothing about progress", () => {
  const piece = fc.stringMatching(/^[queztl:x\n]{0,12}$/);
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      expect(told(...pieces).rest).toBe(pieces.join(""));
    }),
  );
});
