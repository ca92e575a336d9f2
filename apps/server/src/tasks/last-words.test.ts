import { expect, test } from "vitest";
import type { VmLogPiece } from "../vms/vm-host.ts";
import { lastWords } from "./last-words.ts";

const said = (...texts: string[]) => ({
  log: async () =>
    texts.map((text, offset): VmLogPiece => ({ offset, at: new Date(0), stream: "console", text })),
});

test("a console with many lines in pieces → the last eight, without what moves a cursor", async () => {
  const lines = Array.from({ length: 20 }, (_, at) => `line ${at}\r\n`).join("");
  const words = await lastWords(said(lines, "\u001b[31mOut of mem", "ory: killed\r\n\r\n"));
  expect(words?.split("\n")).toEqual([
    ...[13, 14, 15, 16, 17, 18, 19].map((at) => `line ${at}`),
    "[31mOut of memory: killed",
  ]);
});

test("a long line → cut", async () => {
  expect(await lastWords(said("x".repeat(5000)))).toHaveLength(200);
});

test("a silent console, one that is gone, no VM → nothing", async () => {
  expect(await lastWords(said(""))).toBeUndefined();
  expect(await lastWords({ log: () => Promise.reject(new Error("gone")) })).toBeUndefined();
  expect(await lastWords(undefined)).toBeUndefined();
});
