import { describe, expect, test, vi } from "vitest";
import { createContext, createTrustedContext } from "../access/context.ts";
import { SYSTEM_PRINCIPAL } from "../access/principal.ts";
import { readEventStream } from "../client/event-stream.ts";
import { createRouter } from "../router/router.ts";
import { ADMIN_TOKEN, createFakeServices } from "../testing/fake-services.ts";
import { createRestHandler } from "./rest.ts";
import { matchPath } from "./routes.ts";

const services = createFakeServices();
const { authenticate } = services;
const handle = createRestHandler({
  router: createRouter(services),
  maxBodyBytes: 1000,
  createContext: ({ headers }) =>
    createContext({ authenticate, authorization: headers.get("authorization"), requestId: "r1" }),
});

interface Ask {
  readonly method?: string;
  readonly body?: BodyInit;
  readonly headers?: Record<string, string>;
}

async function ask(path: string, { method = "GET", body, headers = {} }: Ask = {}) {
  const response = await handle(
    new Request(`http://localhost${path}`, {
      method,
      headers: {
        authorization: `Bearer ${ADMIN_TOKEN}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body, duplex: "half" }),
    }),
  );
  const type = response.headers.get("content-type");
  expect(type).toBe("application/json; charset=utf-8");
  expect(response.headers.get("x-request-id")).toBe("r1");
  return { status: response.status, headers: response.headers, json: await response.json() };
}

const post = (body: BodyInit, headers?: Record<string, string>): Ask => ({
  method: "POST",
  body,
  ...(headers === undefined ? {} : { headers }),
});

test("a VM by POST → 201; then by GET with its name in the path", async () => {
  const made = await ask("/v1/vms", post('{ "name": "rest-1", "cpu": 1, "memoryMib": 256 }'));
  expect(made.status).toBe(201);
  const { status, json } = await ask("/v1/vms/rest-1");
  expect([status, json]).toEqual([200, made.json]);
});

test("numbers, booleans and lists in a query → of their kinds", async () => {
  const { status, json } = await ask("/v1/vms?limit=1&states=running&states=paused");
  expect(status).toBe(200);
  expect(json.items).toHaveLength(1);
  const tokens = await ask("/v1/tokens?revoked=true&limit=1");
  expect(tokens.status).toBe(200);
});

describe("a request that cannot be", () => {
  test.each<[string, string, Ask, number, string]>([
    ["an unknown path", "/v1/nothing", {}, 404, "QZ_API_OPERATION_UNKNOWN"],
    ["a path with an empty field", "/v1/vms//start", post("{}"), 404, "QZ_API_OPERATION_UNKNOWN"],
    ["another method", "/v1/vms", { method: "PATCH" }, 405, "QZ_API_METHOD_INVALID"],
    ["bad percent-encoding", "/v1/vms/%E0%A4%A", {}, 400, "QZ_API_REQUEST_INVALID"],
    ["a traversing name", "/v1/vms/..%2F..%2Fetc", {}, 400, "QZ_API_INPUT_INVALID"],
    ["a NUL in a name", "/v1/vms/a%00b", {}, 400, "QZ_API_INPUT_INVALID"],
    ["a number that is none", "/v1/vms?limit=1e9", {}, 400, "QZ_API_INPUT_INVALID"],
    ["an empty number", "/v1/vms?limit=", {}, 400, "QZ_API_INPUT_INVALID"],
    ["a single field twice", "/v1/vms?limit=1&limit=2", {}, 400, "QZ_API_INPUT_INVALID"],
    ["a field that there is not", "/v1/vms?x=1", {}, 400, "QZ_API_INPUT_INVALID"],
    ["__proto__ in a query", "/v1/vms?__proto__=1", {}, 400, "QZ_API_INPUT_INVALID"],
    ["__proto__ in a body", "/v1/tokens", post('{"__proto__":{}}'), 400, "QZ_API_INPUT_INVALID"],
    [
      "a path's field in the body",
      "/v1/vms/a/start",
      post('{"vm":"b"}'),
      400,
      "QZ_API_INPUT_INVALID",
    ],
    ["no JSON", "/v1/vms", post("{"), 400, "QZ_API_REQUEST_INVALID"],
    ["JSON that is no object", "/v1/vms", post("[]"), 400, "QZ_API_REQUEST_INVALID"],
    ["no UTF-8", "/v1/vms", post(Uint8Array.of(123, 255, 125)), 400, "QZ_API_REQUEST_INVALID"],
    [
      "deep JSON",
      "/v1/tasks",
      post(`{"description":"x","data":${"[".repeat(400)}${"]".repeat(400)}}`),
      400,
      "QZ_API_INPUT_INVALID",
    ],
    ["a large body", "/v1/vms", post(" ".repeat(1001)), 413, "QZ_API_BODY_TOO_LARGE"],
    [
      "a form",
      "/v1/vms",
      post("cpu=1", { "content-type": "application/x-www-form-urlencoded" }),
      415,
      "QZ_API_MEDIA_TYPE_INVALID",
    ],
    [
      "no content type",
      "/v1/vms",
      post(Uint8Array.of(123, 125), { "content-type": "" }),
      415,
      "QZ_API_MEDIA_TYPE_INVALID",
    ],
    [
      "another character set",
      "/v1/vms",
      post("{}", { "content-type": "application/json; charset=utf-16" }),
      415,
      "QZ_API_MEDIA_TYPE_INVALID",
    ],
  ])("%s → %s answered with %j", async (_, path, options, status, code) => {
    const answer = await ask(path, options);
    expect([answer.status, answer.json.error.code]).toEqual([status, code]);
  });

  test("another method → says which are allowed", async () => {
    const { headers } = await ask("/v1/vms", { method: "DELETE" });
    expect(headers.get("allow")).toBe("GET, POST");
  });

  test("no token → 401 with a challenge, and the body is left unread", async () => {
    let read = 0;
    const body = new ReadableStream(
      {
        pull(controller) {
          read += 1;
          controller.enqueue(new Uint8Array(100));
        },
      },
      { highWaterMark: 0 },
    );
    const { status, headers } = await ask("/v1/vms", {
      ...post(body),
      headers: { authorization: "" },
    });
    expect(status).toBe(401);
    expect(headers.get("www-authenticate")).toBe("Bearer");
    expect(read).toBe(0);
  });

  test("a body without end → refused at the limit", async () => {
    const body = new ReadableStream({
      pull: (controller) => controller.enqueue(new Uint8Array(100)),
    });
    expect((await ask("/v1/vms", post(body))).status).toBe(413);
  });
});

test("JSON with a character set in capitals → accepted", async () => {
  const headers = { "content-type": "Application/JSON; Charset=UTF-8" };
  const { status } = await ask("/v1/brain/optimize", post('{ "dryRun": true }', headers));
  expect(status).toBe(200);
});

async function follow(headers: Record<string, string>) {
  const left = new AbortController();
  const response = await handle(
    new Request("http://localhost/v1/events?topics=token", {
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, ...headers },
      signal: left.signal,
    }),
  );
  if (response.body === null) throw new Error("no body");
  return { events: readEventStream(response.body), left };
}

test("Last-Event-ID → only what came later", async () => {
  await ask("/v1/tokens", post('{ "name": "a", "scopes": ["vm:read"] }'));
  await ask("/v1/tokens", post('{ "name": "b", "scopes": ["vm:read"] }'));
  const { events } = await follow({ "last-event-id": "event-0" });
  const first = await events.next();
  if (first.done === true) throw new Error("the stream ended");
  await events.return();
  const again = await follow({ "last-event-id": first.value.id });
  const second = await again.events.next();
  await again.events.return();
  expect(second.value?.id).not.toBe(first.value.id);
});

test("a reader that leaves → the service is told to stop", async () => {
  const told: string[] = [];
  const subscribe: typeof services.events.subscribe = (input, call) => {
    call.signal.addEventListener("abort", () => told.push("stop"));
    return services.events.subscribe(input, call);
  };
  const leaving = createRestHandler({
    router: createRouter({ ...services, events: { subscribe } }),
    createContext: () => createTrustedContext(SYSTEM_PRINCIPAL),
  });
  const response = await leaving(new Request("http://localhost/v1/events"));
  const reader = response.body?.getReader();
  await reader?.read();
  await reader?.cancel();
  await vi.waitFor(() => expect(told).toEqual(["stop"]));
});

test("a fixed segment and a field at one place → the fixed one", () => {
  expect(matchPath("/v1/images/build").get("POST")?.name).toBe("image.build");
  expect(matchPath("/v1/images/build").get("GET")?.name).toBe("image.get");
  expect(matchPath("/v1/vms/").size).toBe(0);
  expect(matchPath("/v1/vms/{vm}/start").get("POST")?.name).toBe("vm.start");
});
