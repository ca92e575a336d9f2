import type { z } from "zod";
import type { Operation } from "./operation.ts";
import type { Operations } from "./operations.ts";

/** A procedure's full name, such as `vm.create`. */
export type OperationName = {
  [Resource in keyof Operations]: `${Resource}.${keyof Operations[Resource] & string}`;
}[keyof Operations];

type OperationOf<Name extends OperationName> =
  Name extends `${infer Resource extends keyof Operations}.${infer Procedure}`
    ? Procedure extends keyof Operations[Resource]
      ? Operations[Resource][Procedure]
      : never
    : never;

/** What a procedure takes, as a caller writes it. */
export type InputOf<Name extends OperationName> =
  OperationOf<Name> extends Operation<infer _Kind, infer Input, infer _Output>
    ? z.input<Input>
    : never;

/** What a procedure answers, or one piece of it for a subscription. */
export type OutputOf<Name extends OperationName> =
  OperationOf<Name> extends Operation<infer _Kind, infer _Input, infer Output>
    ? z.output<Output>
    : never;
