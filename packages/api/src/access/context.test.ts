import { expect, test, vi } from "vitest";
import { type Authenticate, createContext } from "./context.ts";

const principal = { tokenId: "token-1", name: "x", scopes: [] };
const contextOf = (
  authorization: string | undefined,
  authenticate: Authenticate = async () => principal,
) => createContext({ authenticate, authorization });

test("a batch of calls → the token is looked up once", async () => {
  const authenticate = vi.fn<Authenticate>(async () => principal);
  const context = contextOf("Bearer secret", authenticate);
  const asked = await Promise.all([context.principal(), context.principal()]);
  expect(asked).toEqual([principal, principal]);
  expect(authenticate.mock.calls).toEqual([["secret"]]);
});

test.each([
  ["no header", undefined, "QZ_API_TOKEN_MISSING"],
  ["an empty header", "", "QZ_API_TOKEN_MISSING"],
  ["another scheme", "Basic c2VjcmV0", "QZ_API_TOKEN_INVALID"],
  ["a scheme without a token", "Bearer ", "QZ_API_TOKEN_INVALID"],
  ["two tokens", "Bearer a b", "QZ_API_TOKEN_INVALID"],
  ["a token of a megabyte", `Bearer ${"a".repeat(1_000_000)}`, "QZ_API_TOKEN_INVALID"],
])("%s → refused without a look-up", async (_, authorization, code) => {
  const authenticate = vi.fn<Authenticate>(async () => principal);
  await expect(contextOf(authorization, authenticate).principal()).rejects.toMatchObject({ code });
  expect(authenticate).not.toHaveBeenCalled();
});

test("the scheme in any case → accepted, as RFC 9110 has it", async () => {
  await expect(contextOf("bearer secret").principal()).resolves.toBe(principal);
});
