import { allows, SCOPES } from "../access/scopes.ts";
import type { Operation } from "../operations/operation.ts";
import { operationList } from "../operations/operations.ts";
import type { ContractCase, ContractKit } from "./contract-case.ts";

/**
 * For every procedure there is: a missing token, a wrong one, one without the scope and a malformed input
 * are refused, each with its own code. Made from the table of operations, so none is forgotten.
 */
export const accessCases: readonly ContractCase[] = operationList.flatMap(({ name, operation }) => {
  const ask = (kit: ContractKit, token: string | undefined, input: unknown = operation.example) =>
    kit.refusal(outcome(kit, name, operation, input, token));
  return [
    {
      name: `${name} without a token → QZ_API_TOKEN_MISSING`,
      async run(kit) {
        kit.expect(await ask(kit, undefined)).toMatchObject({
          code: "QZ_API_TOKEN_MISSING",
          status: "unauthorised",
        });
      },
    },
    {
      name: `${name} with a token that nobody made → QZ_API_TOKEN_INVALID`,
      async run(kit) {
        kit.expect(await ask(kit, "qz_there-is-no-such-token")).toMatchObject({
          code: "QZ_API_TOKEN_INVALID",
          status: "unauthorised",
        });
      },
    },
    {
      name: `${name} with every scope but ${operation.scope} → QZ_API_SCOPE_MISSING`,
      async run(kit) {
        const scopes = SCOPES.filter((scope) => !allows([scope], operation.scope));
        const { secret, token } = await kit.call("token.create", { name: "insufficient", scopes });
        kit.expect(await ask(kit, secret)).toMatchObject({
          code: "QZ_API_SCOPE_MISSING",
          status: "forbidden",
        });
        await kit.call("token.revoke", { token: token.id });
      },
    },
    {
      name: `${name} with a field that there is not → QZ_API_INPUT_INVALID`,
      async run(kit) {
        const input = { ...(operation.example as object), surprise: "?" };
        kit.expect(await ask(kit, kit.token, input)).toMatchObject({
          code: "QZ_API_INPUT_INVALID",
          status: "invalid",
        });
      },
    },
  ] satisfies ContractCase[];
});

async function outcome(
  { target }: ContractKit,
  name: string,
  { kind }: Operation,
  input: unknown,
  token: string | undefined,
): Promise<unknown> {
  if (kind !== "subscription") return target.call(name, input, token);
  for await (const piece of target.follow(name, input, token)) return piece;
  return undefined;
}
