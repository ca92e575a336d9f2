import { callTRPCProcedure, type TrackedEnvelope } from "@trpc/server";
import type { ApiContext } from "../access/context.ts";
import { apiErrors } from "../errors.ts";
import { httpStatusOf } from "../failure/status-table.ts";
import { codedFailure } from "../failure/trpc-failure.ts";
import { toWireError } from "../failure/wire-error.ts";
import type { ApiRouter } from "../router/router.ts";
import { eventStream } from "./event-stream.ts";
import { readInput } from "./input.ts";
import { type MatchedRoute, matchPath } from "./routes.ts";

/** How the REST side is set up. */
export interface RestOptions {
  readonly router: ApiRouter;
  readonly createContext: (request: Request) => ApiContext;
  /** The largest body in bytes; 16 MiB unless given. */
  readonly maxBodyBytes?: number;
}

const LARGEST_BODY = 16 * 1024 * 1024;

/**
 * The REST side of a router as one fetch-style handler for everything under `/v1/`. It goes through the
 * same procedures as tRPC, so tokens, scopes and inputs are checked in the same place. It never rejects:
 * a failure is answered as `{ "error": { code, status, message, details } }` with its HTTP status.
 */
export function createRestHandler(options: RestOptions): (request: Request) => Promise<Response> {
  return async (request) => {
    const context = options.createContext(request);
    const { requestId } = context;
    let name: string | undefined;
    try {
      const route = routeOf(request);
      ({ name } = route);
      return await answer(route, request, context, options);
    } catch (failure) {
      const error = codedFailure(failure, { operation: name, requestId });
      const headers: Record<string, string> = {};
      if (error.status === "unauthorised") headers["www-authenticate"] = "Bearer";
      const { allowed } = error.details;
      if (error.code === "QZ_API_METHOD_INVALID") headers["allow"] = String(allowed);
      return json({ error: toWireError(error) }, httpStatusOf(error), requestId, headers);
    }
  };
}

function routeOf({ method, url }: Request): MatchedRoute {
  const { pathname } = new URL(url);
  const routes = matchPath(pathname);
  const route = routes.get(method);
  if (route !== undefined) return route;
  const path = pathname.slice(0, 200);
  if (routes.size === 0) {
    throw apiErrors("QZ_API_OPERATION_UNKNOWN", { operation: `${method} ${path}` });
  }
  const allowed = [...routes.keys()].sort().join(", ");
  throw apiErrors("QZ_API_METHOD_INVALID", { path, method, allowed });
}

async function answer(
  { operation, name, ...route }: MatchedRoute,
  request: Request,
  context: ApiContext,
  { router, maxBodyBytes = LARGEST_BODY }: RestOptions,
): Promise<Response> {
  // Before the body: a stranger cannot make the server read it.
  await context.principal();
  const input = await readInput({ operation, name, ...route }, request, maxBodyBytes);
  const gone = new AbortController();
  const result: unknown = await callTRPCProcedure({
    router,
    path: name,
    type: operation.kind,
    ctx: context,
    input,
    getRawInput: async () => input,
    signal: AbortSignal.any([request.signal, gone.signal]),
    batchIndex: 0,
  });
  const { requestId } = context;
  if (operation.kind !== "subscription")
    return json(result, operation.rest.status ?? 200, requestId);
  const body = eventStream({
    pieces: result as AsyncIterable<TrackedEnvelope<unknown>>,
    coded: (failure) => codedFailure(failure, { operation: name, requestId }),
    onCancel: () => gone.abort(),
  });
  return new Response(body, {
    headers: {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store, no-transform",
      "x-accel-buffering": "no",
      "x-request-id": requestId,
    },
  });
}

const json = (
  body: unknown,
  status: number,
  requestId: string,
  headers: Readonly<Record<string, string>> = {},
) =>
  new Response(JSON.stringify(body), {
    status,
    headers: {
      "content-type": "application/json; charset=utf-8",
      "cache-control": "no-store",
      "x-request-id": requestId,
      ...headers,
    },
  });
