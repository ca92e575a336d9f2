import { expect, test } from "vitest";
import { classifyCommand } from "./classify.ts";

test("a description with data → its domain, confidence and reasons", () => {
  const text = classifyCommand(["Process mining MAG survey", "--data", '{"points":50000}']);
  expect(text).toMatch(/^mining \(\d+ %\), family mining-mag-survey/);
  expect(text).toContain("points 50000");
});

test("--json → one object a description, without the vector", () => {
  const result: unknown = JSON.parse(classifyCommand(["--json", "Transcode the video"]));
  expect(result).toMatchObject({ domain: "general", description: "Transcode the video" });
  expect(result).not.toHaveProperty("embedding");
});

test("broken data or an unknown flag → QZ_BRAIN_USAGE", () => {
  for (const args of [["x", "--data", "{"], ["--bogus"]]) {
    expect(() => classifyCommand(args)).toThrow(
      expect.objectContaining({ code: "QZ_BRAIN_USAGE" }),
    );
  }
});
