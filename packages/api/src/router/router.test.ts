import { isQueztlError, type QueztlError, QueztlError as TestError } from "@queztl/errors";
import { TRPCError } from "@trpc/server";
import { expect, expectTypeOf, test, vi } from "vitest";
import { createTrustedContext } from "../access/context.ts";
import { SYSTEM_PRINCIPAL } from "../access/principal.ts";
import type { Vm } from "../resources.ts";
import type { Call, Services } from "../services.ts";
import { createFakeServices } from "../testing/fake-services.ts";
import { createRouter, type RouterOptions } from "./router.ts";

const fake = createFakeServices();

function callerOf(parts: Partial<Services>, options?: RouterOptions, signal?: AbortSignal) {
  const router = createRouter({ ...fake, ...parts }, options);
  const context = createTrustedContext(SYSTEM_PRINCIPAL, "request-7");
  return router.createCaller(context, signal === undefined ? {} : { signal });
}

const failing = (failure: unknown): Partial<Services> => ({
  stats: {
    get: async () => {
      throw failure;
    },
  },
});

async function failureOf(answer: Promise<unknown>): Promise<{ trpc: string; coded: QueztlError }> {
  const failure: unknown = await answer.catch((reason: unknown) => reason);
  if (!(failure instanceof TRPCError) || !isQueztlError(failure.cause)) throw failure;
  return { trpc: failure.code, coded: failure.cause };
}

test("a service's coded error → itself, with its status's tRPC code; no fault of the server", async () => {
  const onFault = vi.fn<NonNullable<RouterOptions["onFault"]>>();
  const entry = { status: "guest" as const, message: "the guest {what}" };
  const error = new TestError("QZ_TEST_GUEST", entry, { what: "hangs" });
  const { trpc, coded } = await failureOf(callerOf(failing(error), { onFault }).stats.get({}));
  expect(trpc).toBe("BAD_GATEWAY");
  expect(coded).toBe(error);
  expect(onFault).not.toHaveBeenCalled();
});

test("whatever else a service throws → QZ_API_INTERNAL without its words; the log hears the cause", async () => {
  for (const thrown of [new Error("password=hunter2"), "hunter2", undefined, { hunter2: 1 }]) {
    const onFault = vi.fn<NonNullable<RouterOptions["onFault"]>>();
    const { trpc, coded } = await failureOf(callerOf(failing(thrown), { onFault }).stats.get({}));
    expect(trpc).toBe("INTERNAL_SERVER_ERROR");
    expect(coded.code).toBe("QZ_API_INTERNAL");
    expect(coded.message).toBe("the server failed; its log has the cause under request request-7");
    const [fault, at] = onFault.mock.calls[0] ?? [];
    expect(at).toEqual({ operation: "stats.get", requestId: "request-7" });
    if (thrown instanceof Error) expect(fault?.cause).toBe(thrown);
  }
});

test("an answer that breaks the contract → QZ_API_OUTPUT_INVALID that names the field", async () => {
  const { coded } = await failureOf(
    callerOf({
      brain: { ...fake.brain, forget: async () => ({ experiences: -1 }) },
    }).brain.forget({ all: true }),
  );
  expect(coded).toMatchObject({
    code: "QZ_API_OUTPUT_INVALID",
    details: { problems: expect.stringMatching(/^experiences: /) },
  });
});

test("more than the contract knows in an answer → dropped, so that nothing leaks", async () => {
  const leaky = { experiences: 1, passwordHash: "hunter2" };
  const answer = await callerOf({
    brain: { ...fake.brain, forget: async () => leaky },
  }).brain.forget({ all: true });
  expect(answer).toEqual({ experiences: 1 });
});

test("a GPU → refused, but not where an engine exists; a task's request likewise", async () => {
  const input = { cpu: 1, memoryMib: 256, gpu: 2 };
  const { coded } = await failureOf(callerOf({}).vm.create(input));
  expect(coded).toMatchObject({ code: "QZ_API_GPU_UNAVAILABLE", details: { gpu: 2 } });
  const task = { description: "Train", request: { gpu: 1 } };
  expect((await failureOf(callerOf({}).task.submit(task))).coded.code).toBe(
    "QZ_API_GPU_UNAVAILABLE",
  );
  const made = await callerOf({}, { gpus: true }).vm.create(input);
  expect(made.resources.gpu).toBe(2);
  const limited = { description: "Train", limits: { gpu: 1 } };
  expect((await callerOf({}).task.submit(limited)).state).toBe("succeeded");
});

test("a call → the service is given defaults, the principal, the request's id and its signal", async () => {
  const list = vi.fn<Services["vm"]["list"]>(fake.vm.list);
  const { signal } = new AbortController();
  await callerOf({ vm: { ...fake.vm, list } }, {}, signal).vm.list();
  const [input, call] = list.mock.calls[0] ?? [];
  expect(input).toEqual({ limit: 50 });
  expect(call).toEqual({ principal: SYSTEM_PRINCIPAL, requestId: "request-7", signal });
});

test("a service as a class → keeps its `this`", async () => {
  class Stats {
    readonly version = "9.9.9";
    async get(_: object, call: Call) {
      return { ...(await fake.stats.get({}, call)), version: this.version };
    }
  }
  expect((await callerOf({ stats: new Stats() }).stats.get()).version).toBe("9.9.9");
});

test("a subscription that fails under way → what came before, then the coded error", async () => {
  const pieces = callerOf({
    events: {
      async *subscribe(_, call) {
        const first = fake.events.subscribe({}, call);
        await fake.token.create({ name: "x", scopes: ["vm:read"] }, call);
        for await (const event of first) yield event;
      },
    },
    task: {
      ...fake.task,
      async *followLogs() {
        yield { id: "1", at: "2026-01-02T03:04:05Z", stream: "stdout", text: "a" };
        throw new Error("hunter2");
      },
    },
  });
  const seen: unknown[] = [];
  const answer = (async () => {
    for await (const piece of await pieces.task.followLogs({ task: "task-1" })) seen.push(piece);
  })();
  expect((await failureOf(answer)).coded.code).toBe("QZ_API_INTERNAL");
  expect(seen).toHaveLength(1);
});

test("the router's type → inputs and answers of the table", () => {
  const caller = callerOf({});
  expectTypeOf(caller.vm.get).returns.resolves.toEqualTypeOf<Vm>();
  expectTypeOf(caller.vm.get).parameter(0).toEqualTypeOf<{ vm: string }>();
  expectTypeOf(caller.stats.get).toBeCallableWith();
});
