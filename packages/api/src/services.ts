import type { z } from "zod";
import type { Authenticate } from "./access/context.ts";
import type { Principal } from "./access/principal.ts";
import type { Operation } from "./operations/operation.ts";
import type { Operations } from "./operations/operations.ts";

/** Who calls a service, and until when the answer is wanted. */
export interface Call {
  readonly principal: Principal;
  readonly requestId: string;
  /** Aborted when the caller has gone; a service stops working for it then. */
  readonly signal: AbortSignal;
}

/** What a service implements for an operation: inputs come validated, answers are validated after it. */
export type Handler<Of> =
  Of extends Operation<infer Kind, infer Input, infer Output>
    ? (
        input: z.output<Input>,
        call: Call,
      ) => Kind extends "subscription" ? AsyncIterable<z.input<Output>> : Promise<z.input<Output>>
    : never;

/** The service behind one resource. */
export type ServiceOf<Resource extends keyof Operations> = {
  readonly [Procedure in keyof Operations[Resource]]: Handler<Operations[Resource][Procedure]>;
};

/**
 * Everything that the router needs of a server. A service fails by throwing a `QueztlError`; whatever
 * else it throws reaches callers as `QZ_API_INTERNAL` without a word of its message.
 */
export interface Services {
  /** Checks a token's secret; undefined for one that is unknown, expired or revoked. */
  readonly authenticate: Authenticate;
  readonly vm: ServiceOf<"vm">;
  readonly task: ServiceOf<"task">;
  readonly brain: ServiceOf<"brain">;
  readonly node: ServiceOf<"node">;
  readonly image: ServiceOf<"image">;
  readonly file: ServiceOf<"file">;
  readonly stats: ServiceOf<"stats">;
  readonly config: ServiceOf<"config">;
  readonly events: ServiceOf<"events">;
  readonly token: ServiceOf<"token">;
}
