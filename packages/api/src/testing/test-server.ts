import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import type { ReadableStream as WebStream } from "node:stream/web";
import { createHTTPHandler } from "@trpc/server/adapters/standalone";
import { createContext } from "../access/context.ts";
import { LARGEST_BATCH, TRPC_PATH } from "../paths.ts";
import { createRestHandler } from "../rest/rest.ts";
import { createRouter, type RouterOptions } from "../router/router.ts";
import type { Services } from "../services.ts";

/** A server on a free port of the loopback, with tRPC and REST over the same services. */
export interface TestServer {
  readonly url: string;
  readonly server: Server;
  close(): Promise<void>;
}

export async function startTestServer(
  services: Services,
  options: RouterOptions = {},
): Promise<TestServer> {
  const router = createRouter(services, options);
  const { authenticate } = services;
  const trpc = createHTTPHandler({
    router,
    basePath: `${TRPC_PATH}/`,
    maxBatchSize: LARGEST_BATCH,
    createContext: ({ req }) =>
      createContext({ authenticate, authorization: req.headers.authorization }),
  });
  const rest = createRestHandler({
    router,
    createContext: ({ headers }) =>
      createContext({ authenticate, authorization: headers.get("authorization") }),
  });
  const server = createServer((request, response) => {
    if (request.url?.startsWith("/v1/") === true) void overFetch(rest, request, response);
    else trpc(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    server,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function overFetch(
  handle: (request: Request) => Promise<Response>,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const { method = "GET", url = "/", headers } = incoming;
  const gone = new AbortController();
  outgoing.on("close", () => gone.abort());
  const hasBody = method !== "GET" && method !== "HEAD";
  const response = await handle(
    new Request(`http://localhost${url}`, {
      method,
      headers: headers as Record<string, string>,
      signal: gone.signal,
      ...(hasBody ? { body: Readable.toWeb(incoming) as ReadableStream, duplex: "half" } : {}),
    }),
  );
  outgoing.writeHead(response.status, Object.fromEntries(response.headers));
  if (response.body === null) return void outgoing.end();
  const body = Readable.fromWeb(response.body as WebStream);
  outgoing.on("close", () => body.destroy());
  body.on("error", () => outgoing.destroy());
  body.pipe(outgoing);
}
