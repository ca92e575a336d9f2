import { expect, test } from "vitest";
import { duration, mebibytes } from "../view/units.ts";
import { parseDuration, parseMebibytes } from "./quantities.ts";

test.each([
  ["90", 90],
  ["30s", 30],
  ["1h30m", 5400],
  ["500ms", 0.5],
  ["1.5m", 90],
  ["30d", 2_592_000],
])("%s → %d seconds", (text, seconds) => {
  expect(parseDuration(text)).toBeCloseTo(seconds, 9);
});

test.each(["", "s", "5 m", "-1s", "1h 30m", "31d", "1e9", "5mm", "0x10"])(
  "the duration %j → refused",
  (text) => {
    expect(() => parseDuration(text)).toThrow(
      expect.objectContaining({ code: "QZ_QCTL_INPUT_INVALID" }),
    );
  },
);

test.each([
  ["512", 512],
  ["512M", 512],
  ["2G", 2048],
  ["1.5GiB", 1536],
  ["1tb", 1_048_576],
])("%s → %d MiB", (text, mib) => {
  expect(parseMebibytes(text)).toBe(mib);
});

test.each(["", "G", "1.5", "-1", "1K", "1e3", "NaN", "Infinity"])(
  "the size %j → refused",
  (text) => {
    expect(() => parseMebibytes(text)).toThrow(
      expect.objectContaining({ code: "QZ_QCTL_INPUT_INVALID" }),
    );
  },
);

test("amounts → as people say them", () => {
  expect([0, 0.003, 0.5, 4, 61, 3600, 90_061].map(duration)).toEqual([
    "0s",
    "3ms",
    "500ms",
    "4s",
    "1m1s",
    "1h",
    "1d1h",
  ]);
  expect([0, 512, 1536, 2_097_152].map(mebibytes)).toEqual([
    "0 MiB",
    "512 MiB",
    "1.5 GiB",
    "2 TiB",
  ]);
});
