import { isQueztlError } from "@queztl/errors";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { operationList } from "../operations/operations.ts";
import { INPUT_LIMITS, unfitness } from "../schemas/json-data.ts";
import { taskSubmitInput } from "../schemas/task.ts";
import { parseInput } from "./input-problems.ts";

/** What parsing ends in: undefined where it is accepted, the code where it is refused. */
function refusalOf(name: string, schema: Parameters<typeof parseInput>[1], input: unknown) {
  try {
    parseInput(name, schema, input);
    return undefined;
  } catch (error) {
    if (!isQueztlError(error)) throw error;
    expect(error.message.length).toBeLessThan(700);
    return error.code;
  }
}

const nested = (depth: number, wrap: (inner: unknown) => unknown) => {
  let value: unknown = 1;
  for (let level = 0; level < depth; level += 1) value = wrap(value);
  return value;
};

const circle: Record<string, unknown> = {};
circle["self"] = circle;

const hostile: Record<string, unknown> = {
  "a list": [],
  "a text": "vm",
  "a number": 1,
  "null prototype with a strange key": Object.assign(Object.create(null), { toString: 1 }),
  "an own __proto__": JSON.parse('{ "__proto__": { "admin": true } }'),
  "an own constructor": JSON.parse('{ "constructor": { "prototype": {} } }'),
  "nesting 100,000 deep": nested(100_000, (inner) => [inner]),
  "objects 100,000 deep": nested(100_000, (inner) => ({ inner })),
  "a circle": circle,
  "a million values": { list: Array.from({ length: 1_000_000 }, () => 0) },
  "a key of a megabyte": { ["k".repeat(1_000_000)]: 1 },
  "a function": { run: () => 1 },
  "a Date": { at: new Date(0) },
  "a Map": new Map([["vm", "x"]]),
  NaN: { limit: Number.NaN },
  "a bigint": { limit: 1n },
  "a getter on a prototype": Object.create({ vm: "x" }),
};

const wrongKinds: readonly unknown[] = [
  null,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  -1e9,
  1e300,
  "\0",
  "\ud800",
  "x".repeat(2_000_000),
  { toString: "x" },
  [[[[]]]],
  Symbol("s"),
];

for (const { name, operation } of operationList) {
  describe(name, () => {
    test("lists, circles, deep nesting, odd prototypes and the like → QZ_API_INPUT_INVALID", () => {
      for (const [kind, input] of Object.entries(hostile)) {
        expect(refusalOf(name, operation.input, input), kind).toBe("QZ_API_INPUT_INVALID");
      }
    });

    test("each field of the example in eleven wrong kinds → refused or accepted, never a crash", () => {
      const example = operation.example as Record<string, unknown>;
      for (const field of Object.keys(example)) {
        const refused = wrongKinds.map((value) =>
          refusalOf(name, operation.input, { ...example, [field]: value }),
        );
        expect(
          refused.filter((code) => code !== undefined && code !== "QZ_API_INPUT_INVALID"),
        ).toEqual([]);
        // Free JSON may be nearly anything; every other field refuses all of these.
        const accepted = refused.filter((code) => code === undefined).length;
        const free: Record<string, number> = { "task.submit.data": 5, "config.set.value": 1 };
        expect(accepted, field).toBeLessThanOrEqual(free[`${name}.${field}`] ?? 0);
      }
    });
  });
}

test("anything at all as an input → accepted or QZ_API_INPUT_INVALID", () => {
  const anything = fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withNullPrototype: true,
    withObjectString: true,
    withSparseArray: true,
    withTypedArray: true,
    maxDepth: 4,
  });
  fc.assert(
    fc.property(anything, fc.constantFrom(...operationList), (input, { name, operation }) => {
      expect([undefined, "QZ_API_INPUT_INVALID"]).toContain(
        refusalOf(name, operation.input, input),
      );
    }),
    { numRuns: 500 },
  );
});

test("any JSON as a task's data → unchanged on the other side", () => {
  const options = { noUnicodeString: false, maxDepth: 3 };
  fc.assert(
    fc.property(fc.jsonValue(options), (data) => {
      fc.pre(unfitness(data) === undefined);
      const { data: parsed } = parseInput("task.submit", taskSubmitInput, {
        description: "x",
        data,
      });
      expect(JSON.stringify(parsed)).toBe(JSON.stringify(data));
    }),
  );
});

test("the depth that is allowed → accepted; one more → refused", () => {
  const deep = (levels: number) => nested(levels, (inner) => [inner]);
  expect(unfitness(deep(INPUT_LIMITS.depth))).toBeUndefined();
  expect(unfitness(deep(INPUT_LIMITS.depth + 1))).toMatch(/nested/);
});

test("a wrong field → its place and what is wrong, without the text that was sent", () => {
  const secret = `hunter2${"x".repeat(500)}`;
  expect(() =>
    parseInput("vm.create", operationList[0]?.operation.input ?? taskSubmitInput, {
      cpu: 0,
      memoryMib: 512,
      ports: [{ guest: 70_000 }],
      name: secret,
    }),
  ).toThrow(
    expect.objectContaining({
      code: "QZ_API_INPUT_INVALID",
      message: expect.stringMatching(
        /^the input of vm\.create is wrong: (?=.*name: )(?=.*cpu: )(?=.*ports\.0\.guest: )(?!.*hunter2)/,
      ),
    }),
  );
});

test("a thousand wrong fields → the first few, and how many more", () => {
  const input = { description: "x", files: Array.from({ length: 200 }, () => ({ name: "../x" })) };
  expect(() => parseInput("task.submit", taskSubmitInput, input)).toThrow(
    expect.objectContaining({ message: expect.stringMatching(/; and \d+ more$/) }),
  );
});
