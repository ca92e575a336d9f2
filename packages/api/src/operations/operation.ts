import type { QueztlError } from "@queztl/errors";
import type { z } from "zod";
import type { Principal } from "../access/principal.ts";
import type { Scope } from "../access/scopes.ts";

/** `query` only looks, `mutation` changes something, `subscription` goes on telling. */
export type OperationKind = "query" | "mutation" | "subscription";

/** Where an operation is found over REST. */
export interface RestRoute {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** Places in braces are fields of the input, such as `/v1/vms/{vm}`. */
  readonly path: `/v1/${string}`;
  /** The status of success; 200 unless given. */
  readonly status?: 201;
}

/** What a refusal may look at beside the input. */
export interface Situation {
  readonly principal: Principal;
  /** Whether some node has a GPU engine. */
  readonly gpus: boolean;
}

/** One procedure of the contract: all that the router, REST, OpenAPI, clients and tests need to know. */
export interface Operation<
  Kind extends OperationKind = OperationKind,
  Input extends z.ZodType = z.ZodType,
  Output extends z.ZodType = z.ZodType,
> {
  readonly kind: Kind;
  /** What a token must be allowed to do. */
  readonly scope: Scope;
  /** One line for documents and `--help`. */
  readonly summary: string;
  readonly input: Input;
  /** The answer, or one piece of it for a subscription; each piece has an `id` to resume after. */
  readonly output: Output;
  readonly rest: RestRoute;
  /** An input that is accepted. */
  readonly example: z.input<Input>;
  /** Refuses a well-formed input for what it asks, before any service sees it. */
  refuse?(input: z.output<Input>, situation: Situation): QueztlError | undefined;
}

const operation =
  <Kind extends OperationKind>(kind: Kind) =>
  <Input extends z.ZodType, Output extends z.ZodType>(
    parts: Omit<Operation<Kind, Input, Output>, "kind">,
  ): Operation<Kind, Input, Output> => ({ kind, ...parts });

/** An operation that only looks. */
export const query = operation("query");
/** An operation that changes something. */
export const mutation = operation("mutation");
/** An operation that goes on telling, and can be resumed after any piece. */
export const subscription = operation("subscription");
