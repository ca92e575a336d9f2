import { apiErrors } from "../errors.ts";
import { inputInvalid } from "../failure/input-problems.ts";
import { resolved, toJsonSchema } from "../openapi/json-schema.ts";
import type { Operation } from "../operations/operation.ts";
import type { MatchedRoute } from "./routes.ts";

type FieldKind = "number" | "boolean" | "list" | "text";

const kinds = new WeakMap<Operation, ReadonlyMap<string, FieldKind>>();

/**
 * The input of an operation, put together from the path, the query and the body of a request; each
 * field may be given once. The schema looks at it later. Throws `QZ_API_REQUEST_INVALID`,
 * `QZ_API_INPUT_INVALID`, `QZ_API_BODY_TOO_LARGE`, `QZ_API_MEDIA_TYPE_INVALID`.
 */
export async function readInput(
  route: MatchedRoute,
  request: Request,
  maxBodyBytes: number,
): Promise<Record<string, unknown>> {
  const { name, operation } = route;
  const fields = new Map<string, unknown>();
  const put = (field: string, value: unknown) => {
    if (fields.has(field)) throw inputInvalid(name, [`${field.slice(0, 64)}: is given twice`]);
    fields.set(field, value);
  };
  for (const [field, value] of route.fields) put(field, coerce(operation, field, [decoded(value)]));
  const query = new URL(request.url).searchParams;
  for (const field of new Set(query.keys())) {
    put(field, coerce(operation, field, query.getAll(field)));
  }
  if (operation.rest.method === "POST" || operation.rest.method === "PUT") {
    for (const [field, value] of Object.entries(await readBody(request, maxBodyBytes))) {
      put(field, value);
    }
  }
  const resumed = request.headers.get("last-event-id");
  if (operation.kind === "subscription" && resumed !== null && !fields.has("lastEventId")) {
    put("lastEventId", resumed);
  }
  // Own properties whatever their names: `__proto__` must arrive where it is refused.
  return Object.fromEntries(fields);
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    const problem = "its path is not well percent-encoded";
    throw apiErrors("QZ_API_REQUEST_INVALID", { problem }, { cause });
  }
}

/** Text of an address as the kind of value that the schema expects; what does not fit stays text. */
function coerce(operation: Operation, field: string, values: readonly string[]): unknown {
  const kind = kindsOf(operation).get(field) ?? "text";
  if (kind === "list") return values;
  if (values.length > 1) return values;
  const value = values[0] ?? "";
  if (kind === "number" && /^-?\d+(?:\.\d+)?$/.test(value)) return Number(value);
  if (kind === "boolean" && (value === "true" || value === "false")) return value === "true";
  return value;
}

function kindsOf(operation: Operation): ReadonlyMap<string, FieldKind> {
  const known = kinds.get(operation);
  if (known !== undefined) return known;
  const components = new Map();
  const { properties = {} } = resolved(
    toJsonSchema(operation.input, "input", components),
    components,
  );
  const made = new Map(
    Object.entries(properties).map(([field, { type }]): [string, FieldKind] => {
      if (type === "integer" || type === "number") return [field, "number"];
      if (type === "boolean") return [field, "boolean"];
      return [field, type === "array" ? "list" : "text"];
    }),
  );
  kinds.set(operation, made);
  return made;
}

async function readBody(request: Request, limit: number): Promise<object> {
  if (request.body === null) return {};
  const type = request.headers.get("content-type") ?? "none";
  const text = await readText(request.body, limit);
  if (text === "") return {};
  if (!/^application\/json *(?:; *charset="?utf-8"? *)?$/i.test(type)) {
    throw apiErrors("QZ_API_MEDIA_TYPE_INVALID", { type: type.slice(0, 100) });
  }
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (cause) {
    const problem = "its body is no JSON";
    throw apiErrors("QZ_API_REQUEST_INVALID", { problem }, { cause });
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw apiErrors("QZ_API_REQUEST_INVALID", { problem: "its body is no JSON object" });
  }
  return body;
}

async function readText(body: ReadableStream<Uint8Array>, limit: number): Promise<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const reader = body.getReader();
  let text = "";
  let size = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      size += value?.byteLength ?? 0;
      if (size > limit) throw apiErrors("QZ_API_BODY_TOO_LARGE", { limit });
      text += decoder.decode(value, { stream: !done });
      if (done) return text;
    }
  } catch (cause) {
    await reader.cancel().catch(() => undefined);
    if (!(cause instanceof TypeError)) throw cause;
    const problem = "its body broke off or is no UTF-8";
    throw apiErrors("QZ_API_REQUEST_INVALID", { problem }, { cause });
  }
}
