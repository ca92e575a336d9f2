import { statsInput, statsOutput } from "../schemas/stats.ts";
import { query } from "./operation.ts";

export const statsOperations = {
  get: query({
    scope: "stats:read",
    summary: "Show how the whole is doing",
    input: statsInput,
    output: statsOutput,
    rest: { method: "GET", path: "/v1/stats" },
    example: {},
  }),
};
