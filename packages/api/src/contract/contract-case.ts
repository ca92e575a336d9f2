import type { QueztlError } from "@queztl/errors";
import type { InputOf, OperationName, OutputOf } from "../operations/shapes.ts";

/** A way to a server: one for each transport that the cases are to run over. */
export interface ContractTarget {
  /** Calls a query or a mutation; rejects with the `QueztlError` as the transport's clients see it. */
  call(name: string, input: unknown, token: string | undefined): Promise<unknown>;
  /** Opens a subscription; its end is asked for by leaving the loop. */
  follow(
    name: string,
    input: unknown,
    token: string | undefined,
  ): AsyncIterable<{ readonly id: string }>;
}

/** As much of a test framework's `expect` as the cases need. */
export type Expect = (actual: unknown) => {
  toEqual(expected: unknown): void;
  toMatchObject(expected: object): void;
};

/** What a case works with: calls as an administrator, and expectations. */
export interface ContractKit {
  readonly target: ContractTarget;
  /** The secret of a token with the scope `admin`. */
  readonly token: string;
  readonly expect: Expect;
  readonly call: <Name extends OperationName>(
    name: Name,
    input: InputOf<Name>,
  ) => Promise<OutputOf<Name>>;
  readonly follow: <Name extends OperationName>(
    name: Name,
    input: InputOf<Name>,
  ) => AsyncIterable<OutputOf<Name>>;
  /** The error that a call is refused with; fails where it is not refused. */
  readonly refusal: (
    answer: Promise<unknown>,
  ) => Promise<Pick<QueztlError, "code" | "status" | "message">>;
}

/** One thing that every implementation of the services keeps, over every transport. */
export interface ContractCase {
  /** Input → outcome. */
  readonly name: string;
  /** `vm`: it starts VMs, so it takes an image and time. */
  readonly needs?: "vm";
  readonly run: (kit: ContractKit) => Promise<void>;
}
