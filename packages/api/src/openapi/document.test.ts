import { Validator } from "@seriousme/openapi-schema-validator";
import { expect, test } from "vitest";
import { operationList } from "../operations/operations.ts";
import { createOpenApiDocument } from "./document.ts";

const document = createOpenApiDocument({ version: "1.2.3", serverUrl: "http://queztl.example" });

test("the document → valid OpenAPI 3.1 to an independent validator", async () => {
  const { valid, errors } = await new Validator().validate(structuredClone({ ...document }));
  expect(errors ?? []).toEqual([]);
  expect(valid).toBe(true);
});

test("every operation → at its path, with its scope", () => {
  for (const { name, operation } of operationList) {
    const { method, path } = operation.rest;
    expect(document.paths[path]?.[method.toLowerCase()]).toMatchObject({
      operationId: name,
      security: [{ token: [operation.scope] }],
    });
  }
});

test("every reference → leads to something in the document", () => {
  const text = JSON.stringify(document);
  const references = new Set(
    [...text.matchAll(/"\$ref":"([^"]+)"/g)].map(([, ref]) => String(ref)),
  );
  expect(references.size).toBeGreaterThan(20);
  for (const reference of references) {
    const [root, ...steps] = reference.split("/");
    expect(root).toBe("#");
    let found: unknown = document;
    for (const step of steps) found = (found as Record<string, unknown>)[step];
    expect(found, reference).toBeTypeOf("object");
  }
});

test("a named schema → once, however many operations use it", () => {
  const text = JSON.stringify(document);
  expect(text.match(/"\$ref":"#\/components\/schemas\/Vm"/g)?.length).toBeGreaterThan(5);
  expect(text.match(/A virtual machine"/g)).toHaveLength(1);
  expect(text).not.toMatch(/\$defs|\$schema"/);
});

test("vm.stop → its place in the path, its other field in the body with its default", () => {
  expect(document.paths["/v1/vms/{vm}/stop"]?.["post"]).toMatchObject({
    parameters: [{ name: "vm", in: "path", required: true, schema: { type: "string" } }],
    requestBody: {
      required: false,
      content: {
        "application/json": {
          schema: { properties: { graceSeconds: { default: 30, maximum: 240 } }, required: [] },
          example: { graceSeconds: 10 },
        },
      },
    },
  });
});

test("vm.list → its fields in the query", () => {
  expect(document.paths["/v1/vms"]?.["get"]).toMatchObject({
    parameters: ["limit", "cursor", "states", "node"].map((name) => ({ name, in: "query" })),
  });
});
