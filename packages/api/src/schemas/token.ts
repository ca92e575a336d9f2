import { z } from "zod";
import { SCOPES } from "../access/scopes.ts";
import { pageInput } from "./page.ts";
import { id, someText, text, time } from "./text.ts";

export const tokenCreateInput = z
  .strictObject({
    name: someText(100).describe("What it is for"),
    scopes: z
      .array(z.enum(SCOPES))
      .min(1)
      .max(SCOPES.length)
      .describe("What it may do; none that the caller does not have"),
    expiresAt: time.optional().describe("When it ends; never unless given"),
  })
  .meta({ id: "TokenCreate", description: "A token to be made" });

export const tokenListInput = z.strictObject({
  ...pageInput,
  revoked: z.boolean().default(false).describe("Also those that were revoked"),
});

export const tokenInput = z.strictObject({ token: id.describe("The token's id") });

/** A token, without its secret. */
export const tokenOutput = z
  .object({
    id: id.describe("Its id; no secret"),
    name: text(100).describe("What it is for"),
    scopes: z.array(z.enum(SCOPES)).max(SCOPES.length).describe("What it may do"),
    createdAt: time.describe("When it was made"),
    expiresAt: time.nullable().describe("When it ends"),
    lastUsedAt: time.nullable().describe("When it was last used, to the minute"),
    revokedAt: time.nullable().describe("When it was revoked"),
  })
  .meta({ id: "Token", description: "A token, without its secret" });

/** A new token with its secret. */
export const createdToken = z
  .object({
    token: tokenOutput.describe("The token"),
    secret: z
      .string()
      .min(20)
      .max(200)
      .regex(/^[\x21-\x7e]+$/)
      .describe("Its secret, shown this once"),
  })
  .meta({ id: "CreatedToken", description: "A new token; its secret is shown this once" });
