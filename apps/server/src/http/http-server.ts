import { randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import cors from "@fastify/cors";
import helmet from "@fastify/helmet";
import rateLimit from "@fastify/rate-limit";
import {
  type ApiRouter,
  type Authenticate,
  allows,
  apiErrors,
  createContext,
  createOpenApiDocument,
  createRestHandler,
  httpStatusOf,
  LARGEST_BATCH,
  OPENAPI_PATH,
  STATUS_TABLE,
  toWireError,
  TRPC_PATH,
} from "@queztl/api";
import { isQueztlError, type QueztlError } from "@queztl/errors";
import { fastifyTRPCPlugin, type FastifyTRPCPluginOptions } from "@trpc/server/adapters/fastify";
import Fastify, {
  LogController,
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from "fastify";
import type { Logger } from "pino";
import { serverErrors } from "../errors.ts";
import type { Metrics } from "../observe/metrics.ts";
import { RefusalLimit } from "./refusal-limit.ts";

/** What the HTTP side of the server is made of. */
export interface HttpParts {
  readonly router: ApiRouter;
  readonly authenticate: Authenticate;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly version: string;
  readonly limits: {
    readonly requestsPerMinute: number;
    readonly refusalsPerMinute: number;
    readonly bodyBytes: number;
  };
  readonly corsOrigins: readonly string[];
  readonly metricsOpen: boolean;
  /** Rejects where the server cannot do its work now. */
  readonly ready: () => Promise<void>;
}

const REQUEST_ID = /^[A-Za-z0-9_.:-]{1,64}$/;

/** The transports: tRPC, REST and OpenAPI over one router, health and metrics beside them. It is not listening yet. */
export async function createHttpServer(parts: HttpParts): Promise<FastifyInstance> {
  const { limits, metrics, router } = parts;
  const refusals = new RefusalLimit(limits.refusalsPerMinute);
  const log: FastifyBaseLogger = parts.log;
  const app = Fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: limits.bodyBytes,
    requestTimeout: 300_000,
    // A caller's own id makes its way into the logs only where it cannot forge them.
    genReqId: ({ headers }) => {
      const given = headers["x-request-id"];
      return typeof given === "string" && REQUEST_ID.test(given) ? given : randomUUID();
    },
    routerOptions: { maxParamLength: 5000 },
  });

  app.setErrorHandler((error: FastifyError | QueztlError, request, reply) => {
    const coded = codedOf(error, request, limits.bodyBytes);
    if (coded.status === "internal") {
      metrics.faults.inc();
      request.log.error({ err: error }, "a request failed");
    }
    return answerFailure(coded, request, reply);
  });
  app.setNotFoundHandler((request, reply) =>
    answerFailure(
      apiErrors("QZ_API_OPERATION_UNKNOWN", {
        operation: `${request.method} ${request.url.slice(0, 200)}`,
      }),
      request,
      reply,
    ),
  );
  app.addHook("onRequest", async (request, reply) => {
    void reply.header("x-request-id", request.id);
    const seconds = refusals.waitOf(request.ip);
    if (seconds > 0) throw serverErrors("QZ_SERVER_RATE_LIMITED", { seconds });
  });
  app.addHook("onResponse", async (request, reply) => {
    const route = request.routeOptions.url ?? "unknown";
    metrics.requests.observe({ route, status: String(reply.statusCode) }, reply.elapsedTime / 1000);
    if (reply.statusCode === 401) refusals.count(request.ip);
    const { method, url, ip } = request;
    // An address may hold what a caller searched for, but never a token: those travel in headers.
    request.log.debug(
      { method, url, ip, status: reply.statusCode, ms: reply.elapsedTime },
      "request",
    );
  });

  await app.register(helmet, {
    contentSecurityPolicy: { directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
  });
  await app.register(cors, {
    origin: parts.corsOrigins.length === 0 ? false : [...parts.corsOrigins],
    allowedHeaders: ["authorization", "content-type", "last-event-id", "x-request-id"],
    exposedHeaders: ["x-request-id"],
    maxAge: 600,
  });
  await app.register(rateLimit, {
    max: limits.requestsPerMinute,
    timeWindow: 60_000,
    keyGenerator: ({ headers, ip }) => headers.authorization ?? ip,
    allowList: ({ url }) => url === "/healthz" || url === "/readyz",
    errorResponseBuilder: (_, { ttl }) =>
      serverErrors("QZ_SERVER_RATE_LIMITED", { seconds: Math.ceil(ttl / 1000) }),
  });

  const contextOf = (id: string, authorization: string | null | undefined) =>
    createContext({ authenticate: parts.authenticate, authorization, requestId: id });

  await app.register(fastifyTRPCPlugin, {
    prefix: TRPC_PATH,
    trpcOptions: {
      router,
      maxBatchSize: LARGEST_BATCH,
      createContext: ({ req }) => contextOf(req.id, req.headers.authorization),
    },
  } satisfies FastifyTRPCPluginOptions<ApiRouter>);

  const rest = createRestHandler({
    router,
    maxBodyBytes: limits.bodyBytes,
    createContext: ({ headers }) =>
      contextOf(headers.get("x-request-id") ?? randomUUID(), headers.get("authorization")),
  });
  await app.register(async (scope) => {
    // The contract's own handler reads bodies: a stranger without a token cannot make the server read one.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser("*", (_, __, done) => done(null));
    scope.route({
      method: ["GET", "POST", "PUT", "DELETE", "PATCH"],
      url: "/v1/*",
      handler: async (request, reply) => reply.send(await rest(fetchRequest(request, reply))),
    });
  });

  const document = createOpenApiDocument({ version: parts.version });
  app.get(OPENAPI_PATH, async () => document);
  app.get("/healthz", async () => ({ status: "ok", version: parts.version }));
  app.get("/readyz", async () => {
    await parts.ready();
    return { status: "ready" };
  });
  app.get("/metrics", async (request, reply) => {
    if (!parts.metricsOpen) {
      const { scopes } = await contextOf(request.id, request.headers.authorization).principal();
      const needed = { operation: "metrics", scope: "stats:read" } as const;
      if (!allows(scopes, needed.scope)) throw apiErrors("QZ_API_SCOPE_MISSING", needed);
    }
    return reply.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  });
  return app;
}

/** A request as fetch has them, for handlers that know no Fastify. */
function fetchRequest(request: FastifyRequest, reply: FastifyReply): Request {
  const gone = new AbortController();
  reply.raw.on("close", () => gone.abort());
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(", ") : value);
  }
  headers.set("x-request-id", request.id);
  const { method } = request;
  const hasBody = method !== "GET" && method !== "HEAD";
  const body = hasBody ? (Readable.toWeb(request.raw) as ReadableStream) : undefined;
  return new Request(new URL(request.url, "http://localhost"), {
    method,
    headers,
    signal: gone.signal,
    ...(body === undefined ? {} : { body, duplex: "half" }),
  });
}

/** A failure before any procedure, in our own codes. */
function codedOf(
  error: FastifyError | QueztlError,
  request: FastifyRequest,
  limit: number,
): QueztlError {
  if (isQueztlError(error)) return error;
  switch (error.statusCode) {
    case 400:
      return apiErrors("QZ_API_REQUEST_INVALID", { problem: error.message }, { cause: error });
    case 413:
      return apiErrors("QZ_API_BODY_TOO_LARGE", { limit });
    case 415: {
      const type = request.headers["content-type"] ?? "nothing";
      return apiErrors("QZ_API_MEDIA_TYPE_INVALID", { type });
    }
    default:
      return apiErrors("QZ_API_INTERNAL", { requestId: request.id }, { cause: error });
  }
}

/** Tells a failure as the transport's clients expect it. */
function answerFailure(
  error: QueztlError,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const status = httpStatusOf(error);
  const queztl = toWireError(error);
  const { seconds } = error.details;
  if (error.code === "QZ_SERVER_RATE_LIMITED") void reply.header("retry-after", String(seconds));
  if (error.status === "unauthorised") void reply.header("www-authenticate", "Bearer");
  void reply.code(status).header("cache-control", "no-store");
  if (!request.url.startsWith(`${TRPC_PATH}/`)) return reply.send({ error: queztl });
  const { trpc: code } = STATUS_TABLE[error.status];
  return reply.send({
    error: { message: error.message, code: -32_600, data: { code, httpStatus: status, queztl } },
  });
}
