import { scopesBeyond } from "../access/scopes.ts";
import { apiErrors } from "../errors.ts";
import { pageOf } from "../schemas/page.ts";
import * as schema from "../schemas/token.ts";
import { mutation, query } from "./operation.ts";

const write = { scope: "token:write" } as const;

export const tokenOperations = {
  create: mutation({
    ...write,
    summary: "Make a token; its secret is shown this once",
    input: schema.tokenCreateInput,
    output: schema.createdToken,
    rest: { method: "POST", path: "/v1/tokens", status: 201 },
    example: { name: "dashboard", scopes: ["vm:read", "task:read"] },
    refuse({ scopes }, { principal }) {
      const beyond = scopesBeyond(principal.scopes, scopes);
      if (beyond.length === 0) return undefined;
      return apiErrors("QZ_API_SCOPE_EXCEEDED", { scopes: beyond.join(", ") });
    },
  }),
  list: query({
    scope: "token:read",
    summary: "List tokens, the newest first",
    input: schema.tokenListInput,
    output: pageOf(schema.tokenOutput),
    rest: { method: "GET", path: "/v1/tokens" },
    example: { revoked: true },
  }),
  revoke: mutation({
    ...write,
    summary: "Revoke a token at once and for good",
    input: schema.tokenInput,
    output: schema.tokenOutput,
    rest: { method: "DELETE", path: "/v1/tokens/{token}" },
    example: { token: "token-1" },
  }),
};
