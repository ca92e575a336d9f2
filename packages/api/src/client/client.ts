import {
  createTRPCClientProxy,
  httpBatchLink,
  httpLink,
  httpSubscriptionLink,
  splitLink,
  type TRPCClient,
  type TRPCClientError,
  type TRPCLink,
  type TRPCRequestOptions,
  TRPCUntypedClient,
} from "@trpc/client";
import { observable } from "@trpc/server/observable";
import { isQueztlError } from "@queztl/errors";
import { apiErrors } from "../errors.ts";
import { LARGEST_BATCH, TRPC_PATH } from "../paths.ts";
import type { ApiRouter } from "../router/router.ts";
import { reviveFailure } from "./failures.ts";
import { FetchEventSource, type FetchEventSourceInit } from "./fetch-event-source.ts";
import { authorisedFetch, type Fetch, jsonOnly } from "./http.ts";

/** How a client reaches its server. */
export interface QueztlClientOptions {
  /** The server's address, such as `http://127.0.0.1:7070`; a path before the API's own is kept. */
  readonly url: string;
  /** The token's secret, or what gives it for each request. */
  readonly token: string | (() => string | Promise<string>);
  /** Another `fetch`: one with a proxy, or a test's. */
  readonly fetch?: Fetch;
  /** When a call is given up; never unless given. Subscriptions have no such limit. */
  readonly timeoutSeconds?: number;
  /** How long a subscription tries to reach its server again; 300 unless given. */
  readonly giveUpSeconds?: number;
}

/** Every procedure of the contract: `client.vm.create.mutate(…)`, `client.vm.list.query(…)`. */
export type QueztlClient = TRPCClient<ApiRouter>;

/**
 * A typed client for Node.js and browsers. Calls fail with the `QueztlError` that the server threw, or
 * with `QZ_API_UNREACHABLE`, `QZ_API_RESPONSE_INVALID`, `QZ_API_TIMEOUT` or `QZ_API_CANCELLED`. Queries
 * made in one tick travel together; subscriptions are server-sent events that resume by themselves.
 * Throws `QZ_API_CLIENT_INVALID` for an address that is not http or https.
 */
export function createQueztlClient(options: QueztlClientOptions): QueztlClient {
  const { token, fetch: ownFetch, timeoutSeconds = 0, giveUpSeconds = 300 } = options;
  const base = baseUrl(options.url);
  const url = `${base}${TRPC_PATH}`;
  // Looked up at each call, so that one replaced later is used.
  const send: Fetch = ownFetch ?? ((input, init) => fetch(input, init));
  const common = { url: base, token, fetch: send };
  const call = jsonOnly(authorisedFetch({ ...common, timeoutSeconds }), base);
  const stream: FetchEventSourceInit = {
    fetch: authorisedFetch({ ...common, timeoutSeconds: 0 }),
    giveUpSeconds,
  };
  const http = {
    url,
    fetch: (input: RequestInfo | URL, init?: object) =>
      call(input instanceof Request ? input.url : input.toString(), init),
  };
  const links = [
    revivingLink(base),
    splitLink<ApiRouter>({
      condition: ({ type }) => type === "subscription",
      true: httpSubscriptionLink<ApiRouter, typeof FetchEventSource>({
        url,
        EventSource: FetchEventSource,
        eventSourceOptions: stream,
      }),
      false: splitLink<ApiRouter>({
        // Calls that change something may be slow: nothing waits for another one's end.
        condition: ({ type }) => type === "query",
        true: httpBatchLink({ ...http, maxItems: LARGEST_BATCH, maxURLLength: 8000 }),
        false: httpLink(http),
      }),
    }),
  ];
  return createTRPCClientProxy<ApiRouter>(new RevivingClient({ links }));
}

/** The server's address without a slash at its end. Throws `QZ_API_CLIENT_INVALID`. */
export function baseUrl(address: string): string {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw apiErrors("QZ_API_CLIENT_INVALID", {
      field: "url",
      expected: "an address that begins with http:// or https://",
    });
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}

/** Turns each failure back into what was thrown. */
function revivingLink(url: string): TRPCLink<ApiRouter> {
  return () =>
    ({ op, next }) =>
      observable((observer) =>
        next(op).subscribe({
          next: (value) => observer.next(value),
          complete: () => observer.complete(),
          // The client hands on what it is given; its types know only its own class.
          error: (failure) =>
            observer.error(reviveFailure(url, failure) as unknown as TRPCClientError<ApiRouter>),
        }),
      );
}

/** The untyped client under the typed one; it does not wrap what a link has revived. */
class RevivingClient extends TRPCUntypedClient<ApiRouter> {
  override query(path: string, input?: unknown, options?: TRPCRequestOptions): Promise<unknown> {
    return unwrapped(super.query(path, input, options));
  }

  override mutation(path: string, input?: unknown, options?: TRPCRequestOptions): Promise<unknown> {
    return unwrapped(super.mutation(path, input, options));
  }
}

const unwrapped = (answer: Promise<unknown>): Promise<unknown> =>
  answer.catch((failure: unknown) => {
    throw failure instanceof Error && isQueztlError(failure.cause) ? failure.cause : failure;
  });
