import { describe, expect, test } from "vitest";
import { parseInput } from "../failure/input-problems.ts";
import { type JsonSchema, resolved, toJsonSchema } from "../openapi/json-schema.ts";
import { matchPath, pathFields } from "../rest/routes.ts";
import { operationList } from "./operations.ts";

/** Every schema within a schema, with where it is; named parts are entered where they are used. */
function* within(
  schema: JsonSchema,
  components: Map<string, JsonSchema>,
  path = "",
): Generator<readonly [path: string, schema: JsonSchema]> {
  const own = resolved(schema, components);
  yield [path, own];
  for (const [name, property] of Object.entries(own.properties ?? {})) {
    yield* within(property, components, `${path}.${name}`);
  }
  const inner = ["items", "additionalProperties", "propertyNames"].map((key) => own[key]);
  for (const each of [...inner, ...[own["anyOf"] ?? []].flat(), ...[own["oneOf"] ?? []].flat()]) {
    if (typeof each === "object" && each !== null) {
      yield* within(each as JsonSchema, components, `${path}[]`);
    }
  }
}

const typed = ({ type }: JsonSchema, wanted: string) => [type].flat().includes(wanted);

for (const { name, operation } of operationList) {
  describe(name, () => {
    const components = new Map<string, JsonSchema>();
    const input = toJsonSchema(operation.input, "input", components);
    const output = toJsonSchema(operation.output, "output", components);

    test("the example → accepted", () => {
      expect(() => parseInput(name, operation.input, operation.example)).not.toThrow();
    });

    test("each field → described", () => {
      const bare = [...within(input, components), ...within(output, components)]
        .flatMap(([path, { properties = {} }]) =>
          Object.entries(properties).map(([field, each]) => [`${path}.${field}`, each] as const),
        )
        .filter(([, { description }]) => typeof description !== "string" || description.length < 5);
      expect(bare.map(([path]) => path)).toEqual([]);
    });

    test("each text, list and number of the input → bounded; unknown fields → refused", () => {
      const unbounded = [...within(input, components)].filter(([, schema]) => {
        if (schema["enum"] !== undefined || schema["const"] !== undefined) return false;
        if (typed(schema, "string")) {
          const fixed =
            ["ipv4"].includes(String(schema["format"])) ||
            String(schema["pattern"]).endsWith("{64}$");
          return schema["maxLength"] === undefined && !fixed;
        }
        if (typed(schema, "array")) return schema["maxItems"] === undefined;
        if (typed(schema, "integer") || typed(schema, "number")) {
          return schema["minimum"] === undefined || schema["maximum"] === undefined;
        }
        if (!typed(schema, "object")) return false;
        return schema["additionalProperties"] !== false && schema["maxProperties"] === undefined;
      });
      expect(unbounded.map(([path]) => path)).toEqual([]);
    });

    test("each text and list of the answer → bounded", () => {
      const unbounded = [...within(output, components)].filter(([, schema]) => {
        if (schema["enum"] !== undefined || schema["const"] !== undefined) return false;
        if (typed(schema, "string")) {
          return schema["maxLength"] === undefined && !String(schema["pattern"]).endsWith("{64}$");
        }
        return typed(schema, "array") && schema["maxItems"] === undefined;
      });
      expect(unbounded.map(([path]) => path)).toEqual([]);
    });

    test("the route → fields of its path are required texts, and nothing else answers it", () => {
      const { method, path } = operation.rest;
      const fields = resolved(input, components);
      for (const field of pathFields(path)) {
        expect(fields.required).toContain(field);
        expect(fields.properties?.[field]?.type).toBe("string");
      }
      expect(matchPath(path).get(method)?.name).toBe(name);
    });

    test("the method → GET to look; what is sent in an address is flat", () => {
      const { method } = operation.rest;
      expect(method === "GET").toBe(operation.kind !== "mutation");
      if (method !== "GET" && method !== "DELETE") return;
      for (const each of Object.values(resolved(input, components).properties ?? {})) {
        expect(each.type).toMatch(/^(string|integer|number|boolean|array)$/);
      }
    });

    test("a subscription → its pieces have ids, and its input takes one to resume", () => {
      const takes = resolved(input, components).properties ?? {};
      expect(Object.hasOwn(takes, "lastEventId")).toBe(operation.kind === "subscription");
      if (operation.kind !== "subscription") return;
      expect(resolved(output, components).required).toContain("id");
    });
  });
}
