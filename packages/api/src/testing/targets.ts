import { createContext } from "../access/context.ts";
import { createQueztlClient } from "../client/client.ts";
import { readEventStream } from "../client/event-stream.ts";
import { failureOfResponse } from "../client/failures.ts";
import type { ContractTarget } from "../contract/index.ts";
import { fromWireError } from "../failure/wire-error.ts";
import { operationNamed } from "../operations/operations.ts";
import { pathFields } from "../rest/routes.ts";
import { createRouter } from "../router/router.ts";
import type { Services } from "../services.ts";

type Procedures = Record<string, Record<string, Record<string, (...given: unknown[]) => unknown>>>;

function procedureOf(procedures: unknown, name: string) {
  const [resource = "", procedure = ""] = name.split(".");
  const found = (procedures as Procedures)[resource]?.[procedure];
  if (found === undefined) throw new Error(`no procedure ${name}`);
  return found;
}

const wordOf = { query: "query", mutation: "mutate", subscription: "subscribe" } as const;

const kindOf = (name: string) => operationNamed(name)?.kind ?? "query";

/** The contract's cases over the router's own caller, in this process. */
export function callerTarget(services: Services): ContractTarget {
  const router = createRouter(services);
  const { authenticate } = services;
  const ask = async (
    name: string,
    input: unknown,
    token: string | undefined,
    signal?: AbortSignal,
  ) => {
    const authorization = token === undefined ? undefined : `Bearer ${token}`;
    const context = createContext({ authenticate, authorization });
    const caller = router.createCaller(context, signal === undefined ? {} : { signal });
    const procedure = procedureOf(caller, name) as unknown as (input: unknown) => Promise<unknown>;
    try {
      return await procedure(input);
    } catch (failure) {
      throw failure instanceof Error ? failure.cause : failure;
    }
  };
  return {
    call: (name, input, token) => ask(name, input, token),
    async *follow(name, input, token) {
      const left = new AbortController();
      const pieces = (await ask(name, input, token, left.signal)) as AsyncIterable<
        [string, { id: string }]
      >;
      try {
        for await (const [, data] of pieces) yield data;
      } finally {
        left.abort();
      }
    },
  };
}

/** The same over HTTP with the typed client. */
export function clientTarget(url: string): ContractTarget {
  // A call without a token has no client: its header is left out under way.
  const clientOf = (token: string | undefined) =>
    createQueztlClient({
      url,
      token: token ?? "none",
      fetch: (input, init) => {
        const headers = new Headers(init?.headers);
        if (token === undefined) headers.delete("authorization");
        return fetch(input, { ...init, headers });
      },
    });
  const ask = (name: string, input: unknown, token: string | undefined, ...rest: unknown[]) =>
    procedureOf(clientOf(token), name)[wordOf[kindOf(name)]]?.(input, ...rest);
  return {
    call: (name, input, token) => Promise.resolve(ask(name, input, token)),
    async *follow(name, input, token) {
      const pieces = ask(name, input, token, {}) as AsyncIterable<{ data: { id: string } }>;
      for await (const { data } of pieces) yield data;
    },
  };
}

/** The same over HTTP by the rows of the REST mapping, as curl would. */
export function restTarget(url: string): ContractTarget {
  const send = (name: string, input: unknown, token: string | undefined, signal?: AbortSignal) => {
    const operation = operationNamed(name);
    if (operation === undefined) throw new Error(`no operation ${name}`);
    const { method, path } = operation.rest;
    const fields = new Map(Object.entries(input as object));
    let address = path as string;
    for (const field of pathFields(path)) {
      address = address.replace(`{${field}}`, encodeURIComponent(String(fields.get(field))));
      fields.delete(field);
    }
    const target = new URL(address, url);
    const headers = new Headers(token === undefined ? {} : { authorization: `Bearer ${token}` });
    const init: RequestInit = { method, headers, ...(signal === undefined ? {} : { signal }) };
    if (method === "POST" || method === "PUT") {
      headers.set("content-type", "application/json");
      init.body = JSON.stringify(Object.fromEntries(fields));
    } else {
      for (const [field, value] of fields) {
        for (const each of [value].flat()) target.searchParams.append(field, String(each));
      }
    }
    return fetch(target, init);
  };
  return {
    async call(name, input, token) {
      const response = await send(name, input, token);
      if (!response.ok) throw await failureOfResponse(url, response);
      return response.json();
    },
    async *follow(name, input, token) {
      const left = new AbortController();
      const response = await send(name, input, token, left.signal);
      if (!response.ok || response.body === null) throw await failureOfResponse(url, response);
      try {
        for await (const { type, data } of readEventStream(response.body)) {
          const value = JSON.parse(data) as { id: string; error: unknown };
          if (type === "error") throw fromWireError(value.error);
          if (type === "end") return;
          yield value;
        }
      } finally {
        left.abort();
      }
    },
  };
}
