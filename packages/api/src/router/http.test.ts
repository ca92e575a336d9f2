import { fetchRequestHandler } from "@trpc/server/adapters/fetch";
import { expect, test } from "vitest";
import { createContext } from "../access/context.ts";
import { ADMIN_TOKEN, createFakeServices } from "../testing/fake-services.ts";
import { createRouter } from "./router.ts";

const services = createFakeServices();
const { authenticate } = services;
const failing = {
  ...services,
  stats: {
    get: async () => {
      throw new Error("password=hunter2");
    },
  },
};
const router = createRouter(failing);

async function ask(
  path: string,
  init: RequestInit = {},
): Promise<{ status: number; text: string }> {
  const headers = new Headers(init.headers);
  if (!headers.has("authorization")) headers.set("authorization", `Bearer ${ADMIN_TOKEN}`);
  const response = await fetchRequestHandler({
    router,
    endpoint: "/trpc",
    req: new Request(`http://localhost/trpc/${path}`, { ...init, headers }),
    maxBatchSize: 2,
    createContext: ({ req }) =>
      createContext({ authenticate, authorization: req.headers.get("authorization") }),
  });
  return { status: response.status, text: await response.text() };
}

const json = { "content-type": "application/json" };
const post = (body: string, headers: Record<string, string> = json): RequestInit => ({
  method: "POST",
  body,
  headers,
});
const input = (value: unknown) => `?input=${encodeURIComponent(JSON.stringify(value))}`;

test.each<[string, string, RequestInit, number, string]>([
  ["no token", "vm.list", { headers: { authorization: "" } }, 401, "QZ_API_TOKEN_MISSING"],
  ["a malformed input", `vm.get${input({ vm: 1 })}`, {}, 400, "QZ_API_INPUT_INVALID"],
  ["an input that is no JSON", "vm.get?input=%7B", {}, 400, "QZ_API_REQUEST_INVALID"],
  ["a body that is no JSON", "vm.start", post("{"), 400, "QZ_API_REQUEST_INVALID"],
  [
    "a form",
    "vm.start",
    post("vm=1", { "content-type": "text/plain" }),
    415,
    "QZ_API_MEDIA_TYPE_INVALID",
  ],
  ["an unknown procedure", "vm.explode", {}, 404, "QZ_API_OPERATION_UNKNOWN"],
  ["a member of Object", "vm.constructor", {}, 404, "QZ_API_OPERATION_UNKNOWN"],
  ["a change by GET", `vm.start${input({ vm: "a" })}`, {}, 405, "QZ_API_METHOD_INVALID"],
  [
    "a batch that is too large",
    "vm.list,vm.list,vm.list?batch=1&input=%7B%7D",
    {},
    400,
    "QZ_API_REQUEST_INVALID",
  ],
  ["a thing that there is not", `vm.get${input({ vm: "gone" })}`, {}, 404, "QZ_FAKE_NOT_FOUND"],
  ["a GPU", "vm.create", post('{"cpu":1,"memoryMib":256,"gpu":1}'), 503, "QZ_API_GPU_UNAVAILABLE"],
  ["a failing server", "stats.get", {}, 500, "QZ_API_INTERNAL"],
])(
  "%s over tRPC's HTTP → its status, coded, without stack or secrets",
  async (_, path, init, status, code) => {
    const answer = await ask(path, init);
    const body: unknown = JSON.parse(answer.text);
    const error = { error: { data: { httpStatus: status, queztl: { code } } } };
    expect([body].flat()[0]).toMatchObject(error);
    expect(answer.status).toBe(status);
    expect(answer.text).not.toMatch(/hunter2|stack|node_modules|\.ts:/);
  },
);
