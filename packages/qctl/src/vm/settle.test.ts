import type { QueztlClient } from "@queztl/api/client";
import { QueztlError } from "@queztl/errors";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Vm } from "../resources.ts";
import { settle } from "./settle.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const never = new AbortController().signal;
const inState = (state: Vm["state"]): Vm =>
  ({ id: "vm-1", name: "web", state, problem: null }) as Vm;
const unreachable = (problem: string) =>
  new QueztlError("QZ_API_UNREACHABLE", { status: "unavailable", message: "gone" }, { problem });
const notFound = new QueztlError("QZ_X", { status: "not-found", message: "none" });

/** A server where each look at the VM gives the next of these; the last one stays. */
function serverWith(...looks: readonly (Vm["state"] | "none")[]) {
  const left = [...looks];
  const query = vi.fn<() => Promise<Vm>>(async () => {
    const next = left.length > 1 ? left.shift() : left[0];
    if (next === undefined || next === "none") throw notFound;
    return inState(next);
  });
  return { client: { vm: { get: { query } } } as unknown as QueztlClient, query };
}

const outcome = async (
  call: Promise<Vm>,
  client: QueztlClient,
  { goal = ["running"], signal = never }: { goal?: Vm["state"][]; signal?: AbortSignal } = {},
): Promise<string> => {
  const settled = settle(call, { client, vm: "web", goal, signal, timeoutSeconds: 60 }).then(
    ({ state }) => state,
    (failure: unknown) => (failure instanceof QueztlError ? failure.code : String(failure)),
  );
  await vi.advanceTimersByTimeAsync(50_000);
  return settled;
};

test("a call cut off in its midst → not made again; the VM is looked at until it is there", async () => {
  const { client, query } = serverWith("creating", "creating", "running");
  expect(await outcome(Promise.reject(unreachable("ECONNRESET")), client)).toBe("running");
  expect(query).toHaveBeenCalledTimes(3);
});

test("a call cut off before the server wrote the VM down → found once it is", async () => {
  const { client } = serverWith("none", "none", "creating", "running");
  expect(await outcome(Promise.reject(unreachable("UND_ERR_SOCKET")), client)).toBe("running");
});

test("a call cut off, and then the VM cannot be made → the reason that its record gives", async () => {
  const { client } = serverWith("creating", "none");
  const problem = { code: "QZ_X", message: "no such image" };
  const record = { ...inState("destroyed"), problem };
  Object.assign(client.vm, { list: { query: async () => ({ items: [record] }) } });
  const call = Promise.reject(unreachable("UND_ERR_HEADERS_TIMEOUT"));
  expect(await outcome(call, client)).toBe("QZ_QCTL_VM_FAILED");
});

test("a call that never arrived → its own error after a few looks", async () => {
  const { client } = serverWith("none");
  expect(await outcome(Promise.reject(unreachable("EPIPE")), client)).toBe("QZ_API_UNREACHABLE");
});

test("a refused connection → its own error at once, nothing is looked at", async () => {
  const { client, query } = serverWith("running");
  const call = Promise.reject(unreachable("ECONNREFUSED"));
  expect(await outcome(call, client)).toBe("QZ_API_UNREACHABLE");
  expect(query).not.toHaveBeenCalled();
});

test("a VM that was begun and failed → QZ_QCTL_VM_FAILED", async () => {
  const { client } = serverWith("creating", "crashed");
  const call = Promise.reject(unreachable("ECONNRESET"));
  expect(await outcome(call, client)).toBe("QZ_QCTL_VM_FAILED");
});

test("a destruction whose answer was lost → over once there is no VM", async () => {
  const { client } = serverWith("stopped", "none");
  const call = Promise.reject(unreachable("ECONNRESET"));
  expect(await outcome(call, client, { goal: ["destroyed"] })).toBe("destroyed");
});

test("ctrl-c in the midst of it → QZ_QCTL_INTERRUPTED, in the call as in the wait", async () => {
  const { client } = serverWith("creating");
  const aborted = AbortSignal.abort();
  const call = Promise.reject(new Error("aborted"));
  expect(await outcome(call, client, { signal: aborted })).toBe("QZ_QCTL_INTERRUPTED");
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 5000);
  const waiting = outcome(Promise.resolve(inState("creating")), client, {
    signal: controller.signal,
  });
  expect(await waiting).toBe("QZ_QCTL_INTERRUPTED");
});
