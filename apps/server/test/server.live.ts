import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createQueztlClient, type QueztlClient } from "@queztl/api";
import { contractCases, type ContractTarget, createContractKit } from "@queztl/api/contract";
import { clientTarget, restTarget } from "@queztl/api/testing";
import { Vm } from "@queztl/hypervisor/node";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { emptyHome } from "../src/testing/chaos.ts";
import {
  type PrivatePostgres,
  postgresPrograms,
  startPrivatePostgres,
} from "../src/testing/private-postgres.ts";
import { RestartableServer } from "../src/testing/restartable-server.ts";

/** A server in a process and an empty home of its own, whose VMs are real. */
class LiveServer {
  readonly server: RestartableServer;
  readonly #folder = mkdtempSync(join(tmpdir(), "queztl-live-"));
  readonly #home = emptyHome(this.#folder);
  token = "";

  constructor(databaseUrl: string | undefined) {
    this.server = new RestartableServer({ home: this.#home, databaseUrl, vms: "real" });
  }

  get client(): QueztlClient {
    return createQueztlClient({ url: this.server.url, token: this.token, timeoutSeconds: 120 });
  }

  async start(): Promise<void> {
    this.token = (await this.server.start()) || this.token;
  }

  /** Ends the process that a VM is, as a crash does. */
  async crash(vm: string): Promise<void> {
    const { pid } = await (await Vm.open(vm, { home: this.#home })).inspect();
    if (pid === undefined) throw new Error(`${vm} has no monitor`);
    process.kill(pid, "SIGKILL");
  }

  async stop(): Promise<void> {
    const { items } = await this.client.vm.list.query({});
    for (const { id } of items) await this.client.vm.destroy.mutate({ vm: id, force: true });
    await this.server.stop();
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

describe("embedded database", () => {
  withDatabase(() => undefined);
});

describe.skipIf(postgresPrograms() === undefined)("Postgres", () => {
  let postgres: PrivatePostgres;
  beforeAll(async () => {
    postgres = await startPrivatePostgres();
  });
  afterAll(() => postgres?.stop());
  withDatabase(() => postgres.url);
});

function withDatabase(url: () => string | undefined): void {
  let live: LiveServer;
  beforeAll(async () => {
    live = new LiveServer(url());
    await live.start();
  });
  afterAll(() => live?.stop());

  const transports: Record<string, () => ContractTarget> = {
    "the typed client over tRPC": () => clientTarget(live.server.url),
    REST: () => restTarget(live.server.url),
  };
  const cases = contractCases.filter(({ needs }) => needs === "vm");
  for (const [transport, targetOf] of Object.entries(transports)) {
    describe(transport, () => {
      test.each(cases)("$name", async ({ run }) => {
        const kit = createContractKit({ target: targetOf(), token: live.token, expect });
        await expect(run(kit)).resolves.toBeUndefined();
      });
    });
  }

  test("the server is killed while a task runs → the next one follows it on, and it ends once", async () => {
    const { id: task } = await live.client.task.submit.mutate({
      description: "Count slowly",
      command: ["sh", "-c", "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 1; done; echo over >end"],
    });
    const output = async () => {
      const { items } = await live.client.task.logs.query({ task, streams: ["stdout"] });
      return items.map(({ text }) => text).join("");
    };
    while (!(await output()).includes("2")) await sleep(100);
    const before = await live.client.task.get.query({ task });
    await live.server.kill();
    // What it writes meanwhile waits for the next server.
    await sleep(2000);
    await live.start();
    const done = await ended(live.client, task);
    expect(done).toMatchObject({ state: "succeeded", problem: null });
    expect(done.attempts).toMatchObject([
      { number: 1, outcome: "ok", exitCode: 0, vm: before.attempts[0]?.vm },
    ]);
    expect(await output()).toBe("1\n2\n3\n4\n5\n6\n7\n8\n");
    const { items } = await live.client.task.files.query({ task });
    expect(items.map(({ name }) => name)).toEqual(["end"]);
    // The task is over before its VM is removed.
    await vi.waitFor(
      async () => expect((await live.client.vm.list.query({})).items).toEqual([]),
      10_000,
    );
  });

  test("a VM runs while the server is killed → the next one has it, and commands run in it", async () => {
    const vm = await live.client.vm.create.mutate({ name: "stays", cpu: 1, memoryMib: 256 });
    const run = (...command: string[]) => live.client.vm.exec.mutate({ vm: "stays", command });
    await run("sh", "-c", "echo before >/tmp/word");
    await live.server.kill();
    await live.start();
    expect(await live.client.vm.get.query({ vm: "stays" })).toMatchObject({
      id: vm.id,
      state: "running",
    });
    expect((await run("cat", "/tmp/word")).stdout).toBe("before\n");
    await live.client.vm.destroy.mutate({ vm: "stays", force: true });
  });

  test("the monitor of a task's VM is killed → the task runs again in another, once to its end", async () => {
    const { id: task } = await live.client.task.submit.mutate({
      description: "Sleep a while",
      command: ["sh", "-c", "echo begun; sleep 4; echo over"],
    });
    const begun = async () => {
      const { state, attempts } = await live.client.task.get.query({ task });
      return (state === "running" && attempts.at(-1)?.vm) || undefined;
    };
    let vm = await begun();
    while (vm === undefined) {
      await sleep(100);
      vm = await begun();
    }
    await live.crash(vm);
    const done = await ended(live.client, task);
    expect(done.state).toBe("succeeded");
    expect(done.attempts.map(({ outcome }) => outcome)).toEqual(["lost", "ok"]);
  });

  test("a guest that writes more than its disk may hold → its task fails, the disk's limit is kept", async () => {
    const vm = await live.client.vm.create.mutate({
      cpu: 1,
      memoryMib: 512,
      diskMib: 64,
      image: "debian",
    });
    const write = (mib: number) =>
      live.client.vm.exec.mutate({
        vm: vm.id,
        command: [
          "dd",
          "if=/dev/urandom",
          `of=/root/${mib}`,
          "bs=1M",
          `count=${mib}`,
          "conv=fsync",
        ],
        timeoutSeconds: 240,
      });
    expect((await write(4)).exitCode).toBe(0);
    expect((await write(96)).exitCode).not.toBe(0);
    await live.client.vm.destroy.mutate({ vm: vm.id, force: true });
  });
}

async function ended(client: QueztlClient, task: string) {
  for (;;) {
    const found = await client.task.get.query({ task });
    if (["succeeded", "failed", "cancelled"].includes(found.state)) return found;
    await sleep(200);
  }
}
