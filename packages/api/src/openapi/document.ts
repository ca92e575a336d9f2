import { z } from "zod";
import { wireError } from "../schemas/wire-error.ts";
import type { Operation } from "../operations/operation.ts";
import { operationList, operations } from "../operations/operations.ts";
import { pathFields } from "../rest/routes.ts";
import { type JsonSchema, resolved, type SchemaComponents, toJsonSchema } from "./json-schema.ts";

/** What a document says of its server. */
export interface OpenApiOptions {
  /** The version of the server. */
  readonly version: string;
  /** The server's address; relative to the document's own unless given. */
  readonly serverUrl?: string;
}

/** An OpenAPI 3.1 document as a plain object for `JSON.stringify`. */
export interface OpenApiDocument {
  readonly openapi: "3.1.0";
  readonly info: Readonly<Record<string, unknown>>;
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly components: Readonly<Record<string, unknown>>;
  readonly [field: string]: unknown;
}

const errorBody = z
  .object({ error: wireError.describe("The error") })
  .meta({ id: "ErrorBody", description: "What a refused or failed call is answered with" });

/** The OpenAPI 3.1 document of the REST side, made from the same schemas that check every call. */
export function createOpenApiDocument(options: OpenApiOptions): OpenApiDocument {
  const { version, serverUrl = "/" } = options;
  const components: SchemaComponents = new Map();
  const failure = {
    description: "Refused or failed; the status says what kind of failure it is",
    content: { "application/json": { schema: toJsonSchema(errorBody, "output", components) } },
  };
  const paths: Record<string, Record<string, unknown>> = {};
  for (const { name, operation } of operationList) {
    const { method, path } = operation.rest;
    (paths[path] ??= {})[method.toLowerCase()] = pathItem(name, operation, components);
  }
  return {
    openapi: "3.1.0",
    jsonSchemaDialect: "https://json-schema.org/draft/2020-12/schema",
    info: {
      title: "Queztl",
      version,
      description: "Virtual machines, and a brain that decides what runs in them.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: serverUrl }],
    tags: Object.keys(operations).map((name) => ({ name })),
    paths,
    components: {
      schemas: Object.fromEntries([...components].sort(([a], [b]) => (a < b ? -1 : 1))),
      responses: { Failure: failure },
      securitySchemes: {
        token: { type: "http", scheme: "bearer", description: "A token made with token.create" },
      },
    },
  };
}

function pathItem(name: string, operation: Operation, components: SchemaComponents): unknown {
  const { kind, scope, summary, rest, output, example } = operation;
  const inPath = pathFields(rest.path);
  const schema = toJsonSchema(operation.input, "input", components);
  const fields = resolved(schema, components);
  const takesBody = rest.method === "POST" || rest.method === "PUT";
  const parameters = Object.entries(fields.properties ?? {})
    .filter(([field]) => inPath.includes(field) || !takesBody)
    .map(([field, { description, ...value }]) => ({
      name: field,
      in: inPath.includes(field) ? "path" : "query",
      required: inPath.includes(field) || (fields.required ?? []).includes(field),
      description,
      schema: value,
    }));
  const answer = toJsonSchema(output, "output", components);
  return {
    operationId: name,
    tags: [name.split(".")[0]],
    summary,
    description: `Needs the scope \`${scope}\`.`,
    security: [{ token: [scope] }],
    parameters,
    ...(takesBody ? { requestBody: requestBody(schema, fields, inPath, example) } : {}),
    responses: {
      [String(rest.status ?? 200)]:
        kind === "subscription" ? eventStream(answer) : json("The answer", answer),
      default: { $ref: "#/components/responses/Failure" },
    },
  };
}

function requestBody(
  schema: JsonSchema,
  fields: JsonSchema,
  inPath: readonly string[],
  example: unknown,
): unknown {
  const without = (record: object) =>
    Object.fromEntries(Object.entries(record).filter(([field]) => !inPath.includes(field)));
  const required = (fields.required ?? []).filter((field) => !inPath.includes(field));
  const body =
    inPath.length === 0
      ? schema
      : {
          ...fields,
          properties: without(fields.properties ?? {}),
          ...(fields.required === undefined ? {} : { required }),
        };
  return {
    required: required.length > 0,
    content: { "application/json": { schema: body, example: without(example as object) } },
  };
}

const json = (description: string, schema: JsonSchema) => ({
  description,
  content: { "application/json": { schema } },
});

/** OpenAPI 3.1 has no word for the data of single events; the extension names their schema. */
const eventStream = (schema: JsonSchema) => ({
  description:
    "Server-sent events: each has an `id` to resume after with `Last-Event-ID`, and JSON as its data. An event `error` carries the reason of an early end, an event `end` says that nothing more comes.",
  content: { "text/event-stream": { schema: { type: "string" }, "x-event-data": schema } },
});
