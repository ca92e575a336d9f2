import { fetchRequestHandler } from "@trpc/server/adapters/fetch";
import { describe, expect, expectTypeOf, test, vi } from "vitest";
import { createContext } from "../access/context.ts";
import type { Task } from "../resources.ts";
import { createRouter } from "../router/router.ts";
import type { Services } from "../services.ts";
import { ADMIN_TOKEN, createFakeServices } from "../testing/fake-services.ts";
import { createQueztlClient, type QueztlClientOptions } from "./client.ts";
import { followEvents } from "./follow-events.ts";
import type { Fetch } from "./http.ts";

/** A server without a network, of which each answer can be replaced. */
function serverOf(
  services: Services,
  meddle: (request: Request) => Response | undefined = () => undefined,
) {
  const router = createRouter(services);
  const { authenticate } = services;
  return vi.fn<Fetch>(async (input, init) => {
    const req = new Request(input, init);
    return (
      meddle(req) ??
      fetchRequestHandler({
        router,
        req,
        endpoint: "/trpc",
        createContext: () =>
          createContext({ authenticate, authorization: req.headers.get("authorization") }),
      })
    );
  });
}

const clientOf = (fetch: Fetch, options: Partial<QueztlClientOptions> = {}) =>
  createQueztlClient({ url: "http://queztl.example", token: ADMIN_TOKEN, fetch, ...options });

const never: Fetch = (_, init) =>
  new Promise((_resolve, reject) => {
    const give = () => reject(init?.signal?.reason);
    if (init?.signal?.aborted === true) give();
    else init?.signal?.addEventListener("abort", give);
  });

test("queries of one tick → one request; changes → one each, so that none waits for another", async () => {
  const server = serverOf(createFakeServices());
  const { stats, node, brain } = clientOf(server);
  await Promise.all([stats.get.query(), node.list.query(), brain.status.query({})]);
  expect(server.mock.calls.map(([url]) => new URL(url).pathname)).toEqual([
    "/trpc/stats.get,node.list,brain.status",
  ]);
  await Promise.all([brain.optimize.mutate({}), brain.forget.mutate({ all: true })]);
  expect(server).toHaveBeenCalledTimes(3);
});

test("one wrong query in a batch → fails alone", async () => {
  const client = clientOf(serverOf(createFakeServices()));
  const [good, bad] = await Promise.allSettled([
    client.stats.get.query(),
    client.vm.get.query({ vm: "gone" }),
  ]);
  expect(good.status).toBe("fulfilled");
  expect(bad).toMatchObject({ reason: { code: "QZ_FAKE_NOT_FOUND", details: { wanted: "gone" } } });
});

test("a token that changes → each request has the present one", async () => {
  const server = serverOf(createFakeServices());
  const tokens = [ADMIN_TOKEN, "qz_old"];
  const client = clientOf(server, { token: async () => tokens.shift() ?? "" });
  await client.stats.get.query();
  await expect(client.stats.get.query()).rejects.toMatchObject({ code: "QZ_API_TOKEN_INVALID" });
});

describe("what can go wrong on the way", () => {
  const page = (status: number, type: string) =>
    new Response("<h1>", { status, headers: { "content-type": type } });

  test.each<[string, Fetch, string]>([
    [
      "nobody answers",
      async () => {
        throw new TypeError("fetch failed", {
          cause: Object.assign(new Error("x"), { code: "ECONNREFUSED" }),
        });
      },
      "QZ_API_UNREACHABLE",
    ],
    ["a proxy's page", async () => page(502, "text/html"), "QZ_API_RESPONSE_INVALID"],
    ["JSON that is none", async () => page(200, "application/json"), "QZ_API_RESPONSE_INVALID"],
    ["another server's JSON", async () => Response.json({ hello: 1 }), "QZ_API_RESPONSE_INVALID"],
    [
      "another server's error",
      async () => Response.json([{ error: { code: -1, message: "no" } }], { status: 500 }),
      "QZ_API_RESPONSE_INVALID",
    ],
  ])("%s → for a query and for a change", async (_, send, code) => {
    const client = clientOf(send);
    await expect(client.stats.get.query()).rejects.toMatchObject({ name: "QueztlError", code });
    await expect(client.brain.optimize.mutate({})).rejects.toMatchObject({
      name: "QueztlError",
      code,
    });
  });

  test("nobody answers → the message has the address and the reason", async () => {
    const cause = Object.assign(new Error("x"), { code: "ECONNREFUSED" });
    const client = clientOf(async () => {
      throw new TypeError("fetch failed", { cause });
    });
    await expect(client.stats.get.query()).rejects.toThrow(
      "http://queztl.example does not answer (ECONNREFUSED); check the address and that the server runs",
    );
  });

  test("no answer in time → QZ_API_TIMEOUT; given up by the caller → QZ_API_CANCELLED", async () => {
    const client = clientOf(never, { timeoutSeconds: 0.01 });
    await expect(client.stats.get.query()).rejects.toMatchObject({ code: "QZ_API_TIMEOUT" });
    const left = new AbortController();
    const answer = clientOf(never).brain.optimize.mutate({}, { signal: left.signal });
    left.abort();
    await expect(answer).rejects.toMatchObject({ code: "QZ_API_CANCELLED", status: "cancelled" });
  });

  test("a redirect → not followed with the token", async () => {
    const send = vi.fn<Fetch>(async () => Response.json([]));
    await clientOf(send)
      .stats.get.query()
      .catch(() => undefined);
    expect(send.mock.calls[0]?.[1]).toMatchObject({ redirect: "error" });
  });
});

test.each(["", "queztl.example", "ftp://queztl.example", "javascript:alert(1)"])(
  "the address %j → QZ_API_CLIENT_INVALID",
  (url) => {
    expect(() => createQueztlClient({ url, token: "x" })).toThrow(
      expect.objectContaining({ code: "QZ_API_CLIENT_INVALID" }),
    );
  },
);

test("a token with a line break → QZ_API_CLIENT_INVALID, nothing is sent", async () => {
  const send = vi.fn<Fetch>();
  const client = clientOf(send, { token: "a\r\nx: y" });
  await expect(client.stats.get.query()).rejects.toMatchObject({ code: "QZ_API_CLIENT_INVALID" });
  expect(send).not.toHaveBeenCalled();
});

test("an address with a path and a slash → kept before the API's own", async () => {
  const send = vi.fn<Fetch>(async () => Response.json([]));
  await clientOf(send, { url: "https://queztl.example/lab/" })
    .stats.get.query()
    .catch(() => undefined);
  expect(send.mock.calls[0]?.[0]).toMatch(/^https:\/\/queztl\.example\/lab\/trpc\/stats\.get\?/);
});

test("the client's type → inputs and answers of the contract", () => {
  const client = clientOf(never);
  expectTypeOf(client.task.get.query).returns.resolves.toExtend<Task>();
  expectTypeOf(client.task.get.query).parameter(0).toEqualTypeOf<{ task: string }>();
});

describe("followEvents", () => {
  const made = async (services: Services, count: number) => {
    const call = {
      principal: { tokenId: "t", name: "t", scopes: [] },
      requestId: "r",
      signal: new AbortController().signal,
    };
    for (let index = 0; index < count; index += 1) {
      await services.token.create({ name: "x", scopes: ["vm:read"] }, call);
    }
  };
  /** An answer that breaks off after so many bytes. */
  const broken = (response: Response, after: number): Response => {
    let sent = 0;
    const cut = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        sent += chunk.byteLength;
        if (sent > after) controller.error(new TypeError("terminated"));
        else controller.enqueue(chunk);
      },
    });
    return new Response(response.body?.pipeThrough(cut), response);
  };

  test("connections that break again and again → every event once, in order", async () => {
    const services = createFakeServices();
    await made(services, 6);
    const server = serverOf(services);
    let connections = 0;
    const fetch: Fetch = async (input, init) => {
      connections += 1;
      const response = await server(input, init);
      return connections < 5 ? broken(response, 450) : response;
    };
    const seen: string[] = [];
    for await (const { id } of followEvents(clientOf(fetch), { lastEventId: "event-1" })) {
      seen.push(id);
      if (id === "event-7") break;
    }
    expect(seen).toEqual(["event-2", "event-3", "event-4", "event-5", "event-6", "event-7"]);
    expect(connections).toBeGreaterThan(1);
    const resumed = server.mock.calls.map(([, init]) =>
      new Headers(init?.headers).get("last-event-id"),
    );
    expect(resumed[0]).toBeNull();
    expect(resumed[1]).toMatch(/^event-/);
  });

  test("a server that is busy for a moment → tried again; one that refuses → the refusal", async () => {
    const services = createFakeServices();
    await made(services, 2);
    let busy = 0;
    const server = serverOf(services, () => {
      busy += 1;
      // Not at first: a server that was never reached is not waited for.
      return busy === 2 ? new Response("busy", { status: 503 }) : undefined;
    });
    let connections = 0;
    const fetch: Fetch = async (input, init) => {
      connections += 1;
      const response = await server(input, init);
      return connections === 1 ? broken(response, 300) : response;
    };
    const seen: string[] = [];
    for await (const { id } of followEvents(clientOf(fetch), { lastEventId: "event-1" })) {
      seen.push(id);
      if (id === "event-3") break;
    }
    expect(seen).toEqual(["event-2", "event-3"]);
    expect(busy).toBe(3);
    const refused = followEvents(clientOf(server, { token: "qz_wrong" }));
    await expect(refused.next()).rejects.toMatchObject({ code: "QZ_API_TOKEN_INVALID" });
  });

  test("a reader that leaves → the server's service is told to stop", async () => {
    const services = createFakeServices();
    await made(services, 1);
    const told: string[] = [];
    const subscribe: Services["events"]["subscribe"] = (input, call) => {
      call.signal.addEventListener("abort", () => told.push("stop"));
      return services.events.subscribe(input, call);
    };
    const client = clientOf(serverOf({ ...services, events: { subscribe } }));
    for await (const { id } of followEvents(client, { lastEventId: "event-1" })) {
      expect(id).toBe("event-2");
      break;
    }
    await vi.waitFor(() => expect(told).toEqual(["stop"]));
  });

  test("a server that was never reached → QZ_API_UNREACHABLE at once", async () => {
    const client = clientOf(async () => {
      throw new TypeError("fetch failed");
    });
    await expect(followEvents(client).next()).rejects.toMatchObject({ code: "QZ_API_UNREACHABLE" });
  });

  test("a signal → the end without an error, before and while waiting", async () => {
    const client = clientOf(serverOf(createFakeServices()));
    const left = new AbortController();
    const waiting = followEvents(client, { signal: left.signal }).next();
    setTimeout(() => left.abort(), 5);
    expect(await waiting).toEqual({ done: true, value: undefined });
    expect(await followEvents(client, { signal: left.signal }).next()).toMatchObject({
      done: true,
    });
  });
});
