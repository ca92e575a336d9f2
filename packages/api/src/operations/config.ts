import * as schema from "../schemas/config.ts";
import { mutation, query } from "./operation.ts";

const write = { scope: "config:write" } as const;

export const configOperations = {
  get: query({
    scope: "config:read",
    summary: "Show the server's settings",
    input: schema.configGetInput,
    output: schema.settingsOutput,
    rest: { method: "GET", path: "/v1/config" },
    example: { prefix: "optimize" },
  }),
  set: mutation({
    ...write,
    summary: "Change a setting",
    input: schema.configSetInput,
    output: schema.setting,
    rest: { method: "PUT", path: "/v1/config/{key}" },
    example: { key: "optimize.everySeconds", value: 60 },
  }),
  reset: mutation({
    ...write,
    summary: "Put a setting back to its default",
    input: schema.configResetInput,
    output: schema.setting,
    rest: { method: "DELETE", path: "/v1/config/{key}" },
    example: { key: "optimize.everySeconds" },
  }),
};
