import { z } from "zod";
import { text } from "./text.ts";

const key = z
  .string()
  .max(128)
  .regex(/^[a-z][A-Za-z0-9]*(?:\.[a-z][A-Za-z0-9]*)*$/, {
    error: "must be a setting's name such as optimize.everySeconds",
  });

const value = z.union([text(4096), z.number().min(-1e15).max(1e15), z.boolean()]);

export const configGetInput = z.strictObject({
  prefix: key.optional().describe("Only settings whose name begins so"),
});

export const configSetInput = z.strictObject({
  key: key.describe("The setting"),
  value: value.describe("Its new value"),
});

export const configResetInput = z.strictObject({ key: key.describe("The setting") });

/** A setting of the server. */
export const setting = z
  .object({
    key: key.describe("Its name"),
    value: value.nullable().describe("Its value; null where it is a secret or not set"),
    default: value.nullable().describe("What it is unless set"),
    source: z
      .enum(["default", "file", "environment", "flag", "stored"])
      .describe("Where the value comes from; what comes from outside cannot be set here"),
    description: text(500).describe("What it does"),
    restart: z.boolean().describe("Whether a change waits for the next start"),
  })
  .meta({ id: "Setting", description: "A setting of the server" });

/** Settings of the server. */
export const settingsOutput = z
  .object({ items: z.array(setting).max(500).describe("The settings, by name") })
  .meta({ id: "Settings", description: "Settings of the server" });
