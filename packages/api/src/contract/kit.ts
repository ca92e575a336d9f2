import { isQueztlError } from "@queztl/errors";
import type { InputOf, OperationName, OutputOf } from "../operations/shapes.ts";
import type { ContractKit, ContractTarget, Expect } from "./contract-case.ts";

/** What the cases are run with. */
export interface KitOptions {
  readonly target: ContractTarget;
  /** The secret of a token with the scope `admin`. */
  readonly token: string;
  /** The test framework's own. */
  readonly expect: Expect;
}

/** Ties a server, a token and a test framework together for the cases. */
export function createContractKit({ target, token, expect }: KitOptions): ContractKit {
  return {
    target,
    token,
    expect,
    call: async <Name extends OperationName>(name: Name, input: InputOf<Name>) =>
      (await target.call(name, input, token)) as OutputOf<Name>,
    follow: <Name extends OperationName>(name: Name, input: InputOf<Name>) =>
      target.follow(name, input, token) as AsyncIterable<OutputOf<Name>>,
    async refusal(answer) {
      const failure: unknown = await answer.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      if (isQueztlError(failure)) return failure;
      throw new Error("the call was not refused with a coded error", { cause: failure });
    },
  };
}
