import { expect, test } from "vitest";
import { fitsPattern } from "./names.ts";

test.each([
  ["*.csv", "a.CSV", true],
  ["*.csv", "folder/a.csv", false],
  ["data/*.csv", "data/a.csv", true],
  ["**", "a", true],
  ["**", "a/b/c.txt", true],
  ["data/**/x", "data/a/b/x", true],
  ["data/**", "other/a", false],
  ["a.c", "abc", false],
])("the pattern %s and the name %s → %s", (pattern, name, fits) => {
  expect(fitsPattern(pattern, name)).toBe(fits);
});
