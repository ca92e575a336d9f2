import type { QueztlError } from "@queztl/errors";
import {
  initTRPC,
  tracked,
  type TRPCBuiltRouter,
  type TRPCDefaultErrorData,
  type TRPCDefaultErrorShape,
  type TRPCMutationProcedure,
  type TRPCQueryProcedure,
  type TRPCSubscriptionProcedure,
} from "@trpc/server";
import type { z } from "zod";
import type { ApiContext } from "../access/context.ts";
import type { Principal } from "../access/principal.ts";
import { allows } from "../access/scopes.ts";
import { apiErrors } from "../errors.ts";
import { parseInput, parseOutput } from "../failure/input-problems.ts";
import { httpStatusOf } from "../failure/status-table.ts";
import { codedFailure, toTrpcError } from "../failure/trpc-failure.ts";
import { toWireError, type WireError } from "../failure/wire-error.ts";
import type { Operation } from "../operations/operation.ts";
import { operationList, type Operations } from "../operations/operations.ts";
import type { Call, Services } from "../services.ts";

/** How a router is set up beside its services. */
export interface RouterOptions {
  /** Whether some node has a GPU engine; without one, GPUs are refused. False unless given. */
  readonly gpus?: boolean;
  /** Hears of every failure that is the server's own, with its cause, for the log. */
  readonly onFault?: (fault: QueztlError, at: FaultPlace) => void;
}

/** Where a server's own failure was met. */
export interface FaultPlace {
  readonly operation: string;
  readonly requestId: string;
}

/** An error as tRPC sends it: `data.queztl` is the coded error, and there is never a stack. */
export interface ApiErrorShape extends TRPCDefaultErrorShape {
  readonly data: TRPCDefaultErrorData & { readonly queztl: WireError };
}

interface RootTypes {
  ctx: ApiContext;
  meta: object;
  errorShape: ApiErrorShape;
  transformer: false;
}

// A procedure whose fields may all be left out can be called without an input.
type ProcedureInput<Input extends z.ZodType> =
  z.input<Input> extends Record<string, never>
    ? z.input<Input> | undefined
    : Partial<z.input<Input>> extends z.input<Input>
      ? z.input<Input> | undefined
      : z.input<Input>;

type ProcedureOf<Of> =
  Of extends Operation<infer Kind, infer Input, infer Output>
    ? Kind extends "query"
      ? TRPCQueryProcedure<Definition<ProcedureInput<Input>, z.output<Output>>>
      : Kind extends "mutation"
        ? TRPCMutationProcedure<Definition<ProcedureInput<Input>, z.output<Output>>>
        : TRPCSubscriptionProcedure<
            Definition<
              ProcedureInput<Input>,
              AsyncIterable<{ id: string; data: z.output<Output> }, void, unknown>
            >
          >
    : never;

interface Definition<Input, Output> {
  input: Input;
  output: Output;
  meta: object;
  errorShape: ApiErrorShape;
}

type ProcedureRecord = {
  [Resource in keyof Operations]: {
    [Procedure in keyof Operations[Resource]]: ProcedureOf<Operations[Resource][Procedure]>;
  };
};

/** The tRPC router of the whole contract; its type is all that a tRPC client needs. */
export type ApiRouter = TRPCBuiltRouter<RootTypes, ProcedureRecord>;

type AnyHandler = (input: unknown, call: Call) => unknown;

/**
 * The router over a server's services, for any tRPC adapter. Each procedure refuses, in this order: a
 * missing or wrong token, an insufficient one, a malformed input, what the operation itself refuses;
 * only then a service is asked, and its answer is checked.
 */
export function createRouter(services: Services, options: RouterOptions = {}): ApiRouter {
  const { gpus = false, onFault } = options;
  const t = initTRPC.context<ApiContext>().create({
    isDev: false,
    allowOutsideOfServer: true,
    // A connection that says nothing for long is cut by proxies; one that is dead must be noticed.
    sse: {
      ping: { enabled: true, intervalMs: 10_000 },
      client: { reconnectAfterInactivityMs: 30_000 },
    },
    errorFormatter({ shape, error, path, ctx }) {
      const place = { operation: path, requestId: ctx?.requestId };
      const coded = codedFailure(error, place);
      const { code } = toTrpcError(coded);
      const data = {
        code,
        httpStatus: httpStatusOf(coded),
        ...(path === undefined ? {} : { path }),
      };
      return {
        ...shape,
        message: coded.message,
        data: { ...data, queztl: toWireError(coded) },
      };
    },
  });

  const coded = (failure: unknown, at: FaultPlace): QueztlError => {
    const error = codedFailure(failure, at);
    if (error.status === "internal") onFault?.(error, at);
    return error;
  };

  const procedureOf = (operation: Operation, name: string, handler: AnyHandler) => {
    const admitted = t.procedure
      .use(async ({ ctx, next }) => {
        const at = { operation: name, requestId: ctx.requestId };
        let principal: Principal;
        try {
          principal = await ctx.principal();
          admit(principal, operation, name);
        } catch (failure) {
          throw toTrpcError(coded(failure, at));
        }
        const result = await next({ ctx: { caller: principal } });
        if (!result.ok) throw toTrpcError(coded(result.error, at));
        return result;
      })
      .input((raw: unknown): unknown => parseInput(name, operation.input, raw))
      .use(({ ctx, input, next }) => {
        const refusal = operation.refuse?.(input, { principal: ctx.caller, gpus });
        if (refusal !== undefined) throw refusal;
        return next();
      });
    const callOf = (
      ctx: { readonly caller: Principal; readonly requestId: string },
      signal: AbortSignal | undefined,
    ): Call => ({
      principal: ctx.caller,
      requestId: ctx.requestId,
      signal: signal ?? new AbortController().signal,
    });
    const ask = async (input: unknown, call: Call) =>
      parseOutput(name, operation.output, await handler(input, call));
    switch (operation.kind) {
      case "query":
        return admitted.query(({ ctx, input, signal }) => ask(input, callOf(ctx, signal)));
      case "mutation":
        return admitted.mutation(({ ctx, input, signal }) => ask(input, callOf(ctx, signal)));
      case "subscription":
        return admitted.subscription(async function* ({ ctx, input, signal }) {
          const call = callOf(ctx, signal);
          try {
            const pieces = handler(input, call) as AsyncIterable<unknown>;
            for await (const piece of pieces) {
              const checked = parseOutput(name, operation.output, piece) as { readonly id: string };
              yield tracked(checked.id, checked);
            }
          } catch (failure) {
            if (call.signal.aborted) return;
            throw toTrpcError(coded(failure, { operation: name, requestId: ctx.requestId }));
          }
        });
    }
  };

  const record: Record<string, Record<string, ReturnType<typeof procedureOf>>> = {};
  for (const { name, operation } of operationList) {
    const [resource = "", procedure = ""] = name.split(".");
    const service = services[resource as keyof Operations] as unknown as Record<string, AnyHandler>;
    const handler: AnyHandler = (input, call) => {
      const implemented = service[procedure];
      if (implemented === undefined) throw new TypeError(`no service implements ${name}`);
      return implemented.call(service, input, call);
    };
    (record[resource] ??= {})[procedure] = procedureOf(operation, name, handler);
  }
  // Built in a loop, so the compiler cannot follow; the tests call every procedure by its type.
  return t.router(record) as unknown as ApiRouter;
}

function admit({ scopes }: Principal, { scope }: Operation, operation: string): void {
  if (!allows(scopes, scope)) throw apiErrors("QZ_API_SCOPE_MISSING", { operation, scope });
}
