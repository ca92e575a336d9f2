import { z } from "zod";

/** A JSON Schema (draft 2020-12) as a plain object. */
export interface JsonSchema {
  readonly [keyword: string]: unknown;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly $ref?: string;
  readonly type?: string | readonly string[];
}

const DEFINITIONS = "#/$defs/";
const COMPONENTS = "#/components/schemas/";

/** Named schemas by name, gathered from all that is converted. */
export type SchemaComponents = Map<string, JsonSchema>;

/**
 * The JSON Schema of one side of a schema: what may be sent as `input`, what comes as `output`. Parts
 * with a name go into `components` and are referred to there. Throws an `Error`, a defect of the
 * contract, where one name stands for two schemas.
 */
export function toJsonSchema(
  schema: z.ZodType,
  io: "input" | "output",
  components: SchemaComponents,
): JsonSchema {
  const converted = z.toJSONSchema(schema, {
    io,
    target: "draft-2020-12",
    override({ jsonSchema, zodSchema }) {
      delete jsonSchema["id"];
      // Later servers may say more: an answer is not wrong for it. Strict parts are an input's.
      const open = zodSchema instanceof z.ZodObject && zodSchema.def.catchall === undefined;
      if (io === "output" && open) {
        delete jsonSchema.additionalProperties;
      }
    },
  }) as JsonSchema;
  const { $schema: _, $defs = {}, ...root } = relocated(converted) as JsonSchema;
  for (const [name, definition] of Object.entries($defs as Record<string, JsonSchema>)) {
    const known = components.get(name);
    if (known !== undefined && JSON.stringify(known) !== JSON.stringify(definition)) {
      throw new Error(`two schemas are called ${name}`);
    }
    components.set(name, definition);
  }
  return root;
}

/** The object schema itself, where there may be only a reference to it. */
export function resolved(schema: JsonSchema, components: SchemaComponents): JsonSchema {
  const { $ref } = schema;
  if ($ref === undefined || !$ref.startsWith(COMPONENTS)) return schema;
  return components.get($ref.slice(COMPONENTS.length)) ?? schema;
}

/** The same schema with references to definitions turned into references to components. */
function relocated(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(relocated);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      key === "$ref" && typeof inner === "string" && inner.startsWith(DEFINITIONS)
        ? COMPONENTS + inner.slice(DEFINITIONS.length)
        : relocated(inner),
    ]),
  );
}
