import { EventEmitter, once } from "node:events";
import { afterEach, expect, test, vi } from "vitest";
import { createProcessVms } from "../testing/process-vms.ts";
import { startTestServer, type TestServer } from "../testing/start-test-server.ts";
import { serverErrors } from "../errors.ts";
import type { HostedVm, StartOptions, VmHost } from "./vm-host.ts";

let running: TestServer | undefined;
afterEach(() => running?.close());

/** A server whose VMs start when they are let to, as where a template is built first. */
async function slowStarts() {
  const starts = new EventEmitter();
  const host = (folder: string): VmHost => {
    const vms = createProcessVms(folder);
    return {
      ...vms,
      async create(...given) {
        const vm = await vms.create(...given);
        const start = async ({ signal }: StartOptions = {}) => {
          const [failure] = await once(starts, "go", signal === undefined ? {} : { signal });
          if (failure !== undefined) throw failure;
          await begin();
        };
        const begin = vm.start.bind(vm);
        return Object.assign(vm, { start } satisfies Partial<HostedVm>);
      },
    };
  };
  running = await startTestServer({}, { vmHost: host });
  const { client } = running;
  const create = (name: string, signal?: AbortSignal) =>
    client.vm.create.mutate({ name, cpu: 1, memoryMib: 256 }, signal && { signal });
  const begun = (name: string) =>
    vi.waitFor(async () => {
      expect(await client.vm.get.query({ vm: name })).toMatchObject({ state: "creating" });
      expect(starts.listenerCount("go")).toBe(1);
    });
  return {
    client,
    create,
    begun,
    /** Lets what starts go on, or fail. */
    go: (failure?: Error) => starts.emit("go", failure),
  };
}

test("the caller of vm.create is cut off → the VM is made all the same", async () => {
  const { client, create, begun, go } = await slowStarts();
  const caller = new AbortController();
  const call = create("web", caller.signal);
  await begun("web");
  caller.abort();
  await expect(call).rejects.toMatchObject({ code: "QZ_API_CANCELLED" });
  go();
  await vi.waitFor(async () =>
    expect(await client.vm.get.query({ vm: "web" })).toMatchObject({ state: "running" }),
  );
});

test("a VM destroyed while it starts → its creator is told, nothing is left or reserved", async () => {
  const { client, create, begun } = await slowStarts();
  const call = create("web").catch((failure: unknown) => failure);
  await begun("web");
  const { used } = await client.node.get.query({ node: "local" });
  expect(used.cpu).toBe(1);
  await client.vm.destroy.mutate({ vm: "web", force: true });
  expect(await call).toMatchObject({ code: "QZ_SERVER_STATE", details: { state: "destroyed" } });
  expect((await client.vm.list.query({})).items).toEqual([]);
  expect((await client.node.get.query({ node: "local" })).used.cpu).toBe(0);
});

test("a VM destroyed before its start begins → the same", async () => {
  const { client, create } = await slowStarts();
  const call = create("web").catch((failure: unknown) => failure);
  const destroyed = () => client.vm.destroy.mutate({ vm: "web", force: true });
  await vi.waitFor(destroyed, { interval: 1 });
  expect(await call).toMatchObject({ code: "QZ_SERVER_STATE", details: { state: "destroyed" } });
  expect((await client.vm.list.query({})).items).toEqual([]);
  expect((await client.node.get.query({ node: "local" })).used.cpu).toBe(0);
});

test("a start that fails → the caller is told, and the record says why", async () => {
  const { client, create, begun, go } = await slowStarts();
  const call = create("web").catch((failure: unknown) => failure);
  await begun("web");
  go(serverErrors("QZ_SERVER_UNSUPPORTED", { what: "this", instead: "try that" }));
  const code = "QZ_SERVER_UNSUPPORTED";
  expect(await call).toMatchObject({ code });
  const { items } = await client.vm.list.query({ states: ["destroyed"] });
  expect(items).toMatchObject([{ name: "web", problem: { code } }]);
});

test("the server is stopped while a VM starts → the caller is told at once", async () => {
  const { create, begun } = await slowStarts();
  const call = create("web").catch((failure: unknown) => failure);
  await begun("web");
  await running?.server.close();
  expect(await call).toMatchObject({ status: "unavailable" });
});
