import { expect, test } from "vitest";
import { dataSchema, madeBytes, manifestSchema, parseManifest } from "./manifest.ts";

const least = {
  name: "count-words",
  version: "1.0.0",
  title: "Counts words",
  summary: "Counts the words of a text.",
  domain: "general",
  command: ["sh", "main.sh"],
  parameters: { properties: { top: { type: "integer", minimum: 1 } }, additionalProperties: false },
};

test("the least a manifest must say → every default filled in", () => {
  const manifest = parseManifest(least);
  expect(manifest).toMatchObject({ image: "python", files: [], outputs: [] });
  expect(manifest.limits.outputFiles).toBe(256);
  expect(manifest.sizing).toEqual({ memoryMib: 256, bytesPerInputByte: 4, made: [], vcpus: 1 });
});

test.each([
  ["a name with a slash", { ...least, name: "../x" }, "name: must be"],
  ["an unknown key", { ...least, comand: [] }, "comand"],
  [
    "an output that leaves its folder",
    { ...least, outputs: [{ name: "../a", type: "t", description: "d" }] },
    "outputs.0.name",
  ],
  [
    "parameters that are no schema",
    { ...least, parameters: { properties: { a: { type: "strange" } } } },
    "parameters:",
  ],
  ["no object", 7, "expected object"],
])("%s → QZ_SKILLS_MANIFEST_INVALID that names the place", (_name, value, place) => {
  expect(() => parseManifest(value, "skill.json")).toThrow(
    expect.objectContaining({
      code: "QZ_SKILLS_MANIFEST_INVALID",
      message: expect.stringContaining(place),
    }),
  );
});

test("what a program makes itself → as many bytes as the data asks for, none beside a file instead", () => {
  const made = [
    { parameter: "points", default: 1000, bytes: 40 },
    { parameter: "edge", default: 2, bytes: 8, power: 3, unless: ["*.png"] },
  ];
  const skill = parseManifest({ ...least, sizing: { made } });
  expect(madeBytes(skill, { points: 50, edge: 10 }, [])).toBe(50 * 40 + 8000);
  expect(madeBytes(skill, {}, [])).toBe(40_000 + 64);
  expect(madeBytes(skill, undefined, ["a.xyz"])).toBe(64);
  expect(madeBytes(skill, { edge: 10 }, ["a.png"])).toBe(0);
  expect(madeBytes(skill, { edge: 1e300, points: -5 }, [])).toBe(Number.MAX_SAFE_INTEGER);
});

test("parameters → a check of the data", () => {
  const schema = dataSchema(parseManifest(least));
  expect(schema.safeParse({ top: 3 }).success).toBe(true);
  for (const wrong of [{ top: 0 }, { top: "3" }, { tops: 3 }, [], null, "x"]) {
    expect(schema.safeParse(wrong).success, JSON.stringify(wrong)).toBe(false);
  }
});

test("the manifest's schema → JSON Schema that names what is needed", () => {
  expect(manifestSchema()).toMatchObject({
    type: "object",
    required: expect.arrayContaining(["name", "command"]),
  });
});
