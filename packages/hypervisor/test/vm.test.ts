import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { Vm } from "../src/node/index.ts";
import type { VmConsole, VmOptions } from "../src/node/index.ts";
import { runVmCommand } from "../src/node/vm-commands.ts";
import {
  COUNT,
  ECHO,
  POWER_OFF,
  TRIPLE_FAULT,
  multibootKernel,
  print,
} from "../src/testing/tiny-kernel.ts";
import { processesOf } from "./kill-storm.ts";

// A monitor is a process: on a busy computer it takes a while to come up.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

let home: string;
const kernels: Record<string, string> = {};

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "queztl-vms-"));
  const programs = {
    count: [COUNT],
    echo: [ECHO],
    off: [print("bye"), POWER_OFF],
    fault: [TRIPLE_FAULT],
  };
  for (const [name, pieces] of Object.entries(programs)) {
    kernels[name] = join(home, name);
    writeFileSync(join(home, name), multibootKernel(...pieces));
  }
});
// Open files and processes are counted in /proc.
beforeEach(({ skip }) => skip(process.platform !== "linux", "it needs Linux"));
afterEach(async () => {
  for (const { id } of await Vm.list({ home })) await Vm.destroy(id, { home });
  const left = [...readdirSync(join(home, "vms")), ...processesOf(home)];
  if (left.length > 0) throw new Error(`left behind: ${left.join(", ")}`);
});
afterAll(() => rmSync(home, { recursive: true }));

const create = (program: string, options: VmOptions = {}): Promise<Vm> =>
  Vm.create({ home, kernel: { path: kernels[program] as string }, memoryMib: 2, ...options });

const instructions = async (vm: Vm): Promise<number> => (await vm.stats()).instructions;

async function until(console: VmConsole, end: string): Promise<string> {
  const reader = console.output.getReader();
  let text = "";
  while (!text.endsWith(end)) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`the console ended: ${text}`);
    text += new TextDecoder().decode(value);
  }
  reader.releaseLock();
  return text;
}

const files = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

test("a VM's life: paused, saved, put back, stopped, started, killed, started → each as it says", async () => {
  const vm = await create("count", { labels: { task: "7" } });
  await vi.waitUntil(async () => (await vm.status()).state === "running", 30_000);
  const first = await instructions(vm);
  await vi.waitUntil(async () => (await instructions(vm)) > first);

  await vm.pause();
  const still = await instructions(vm);
  await vm.snapshot("here");
  expect((await vm.status()).state).toBe("paused");
  expect(await instructions(vm)).toBe(still);
  await vm.resume();
  await vi.waitUntil(async () => (await instructions(vm)) > still);
  await vm.restore("here");
  await expect(vm.restore("nowhere")).rejects.toMatchObject({
    code: "QZ_HYPERVISOR_SNAPSHOT_FILE",
  });
  expect((await vm.status()).state).toBe("running");

  expect((await vm.stop({ graceMs: 0 })).reason).toBe("stopped");
  await expect(vm.pause()).rejects.toMatchObject({
    code: expect.stringMatching(/VM_(STATE|LOST)$/),
  });
  await vi.waitUntil(async () => (await vm.inspect()).pid === undefined, 10_000);
  expect(await Vm.list({ home })).toMatchObject([
    { id: vm.id, state: "stopped", labels: { task: "7" }, end: { reason: "stopped" } },
  ]);
  await vm.start();
  await expect(vm.start()).rejects.toMatchObject({ code: "QZ_HYPERVISOR_VM_START" });

  const ended = vm.ended();
  process.kill((await vm.inspect()).pid as number, "SIGKILL");
  expect((await ended).reason).toBe("crashed");
  expect(await vm.inspect()).toMatchObject({ state: "crashed", pid: undefined });
  await vm.start();
  await vi.waitUntil(async () => (await vm.status()).state === "running", 30_000);
  await vm.destroy();
  await expect(vm.inspect()).rejects.toMatchObject({ code: "QZ_HYPERVISOR_VM_UNKNOWN" });
});

test("forks destroyed while they begin → no folder comes to be again", async () => {
  const vm = await create("count");
  for (let i = 0; i < 8; i++) {
    const fork = await vm.fork();
    await new Promise((resolve) => setTimeout(resolve, i * 3));
    await fork.destroy();
  }
  expect(readdirSync(join(home, "vms"))).toEqual([vm.id]);
});

test("handles, consoles and events, opened and closed again and again → no file left open, here or there", async () => {
  await using vm = await create("echo");
  const { pid } = await vm.status();
  const round = async (): Promise<void> => {
    const other = await Vm.open(vm.id, { home });
    await other.stats();
    await using one = await other.console();
    await using two = await other.console({ input: false, scrollBackBytes: 0 });
    await one.input.getWriter().write(new TextEncoder().encode("x"));
    await Promise.all([until(one, "x"), until(two, "x")]);
    const events = other.events();
    expect((await events.next()).value).toMatchObject({ type: "state", state: "running" });
    await vm.pause();
    expect((await events.next()).value).toMatchObject({ type: "state", state: "paused" });
    await vm.resume();
    await events.return(undefined);
    await other.close();
  };
  await round();
  await new Promise((resolve) => setTimeout(resolve, 200));
  const before = [files(pid), files(process.pid)];
  for (let i = 0; i < 10; i++) await round();
  await vi.waitUntil(
    () => files(pid) <= (before[0] ?? 0) && files(process.pid) <= (before[1] ?? 0),
    5_000,
  );
  expect((await vm.status()).consoles).toBe(0);
});

test("a guest that turns itself off, and one that crashes → ends that say so, and the console's log", async () => {
  await using off = await create("off");
  expect(await off.ended()).toMatchObject({ reason: "power-off" });
  await using fault = await create("fault");
  expect(await fault.ended()).toMatchObject({ reason: "triple-fault" });
  expect((await fault.inspect()).state).toBe("crashed");
  expect(existsSync(join((await off.inspect()).folder, "console.log"))).toBe(true);
});

test("a lifetime, and a time without use → they end the VM, and say that they did", async () => {
  await using mortal = await create("count", { limits: { lifetimeSeconds: 1 } });
  await using idle = await create("count", { limits: { idleSeconds: 1, cpuShare: 0.1 } });
  const ends = await Promise.all([mortal.ended(), idle.ended()]);
  expect(ends.map(({ reason }) => reason)).toEqual(["lifetime", "idle"]);
});

test("a damaged folder, and snapshots that could take too much → the others are listed; refused", async () => {
  await using vm = await create("count", { limits: { snapshotBytes: 3 * 2 ** 20 } });
  await vm.snapshot("first");
  await vm.snapshot("second");
  mkdirSync(join(home, "vms", "damaged"));
  writeFileSync(join(home, "vms", "damaged", "config.json"), "{");
  const list = await Vm.list({ home });
  expect(list.map(({ id, state }) => [id, state])).toEqual([
    ["damaged", "crashed"],
    [vm.id, "running"],
  ]);
  await using small = await create("count", { limits: { snapshotBytes: 2 ** 20 } });
  await expect(small.snapshot("one")).rejects.toMatchObject({ code: "QZ_HYPERVISOR_VM_LIMIT" });
});

test("a home whose sockets' paths are too long for a socket → the same", async () => {
  const far = join(home, "a-folder-with-a-long-name".repeat(5), "another".repeat(12));
  mkdirSync(far, { recursive: true });
  await using vm = await create("count", { home: far });
  expect(Buffer.byteLength(join(far, "vms", vm.id, "control.sock"))).toBeGreaterThan(107);
  expect((await vm.status()).id).toBe(vm.id);
});

test("ids that are taken, unknown or no ids, and kernels that are none → coded errors, nothing left", async () => {
  await using vm = await create("count", { id: "one" });
  await expect(create("count", { id: "one" })).rejects.toMatchObject({
    code: "QZ_HYPERVISOR_VM_EXISTS",
  });
  for (const id of ["", "../up", "A", "x".repeat(64)])
    await expect(create("count", { id })).rejects.toMatchObject({ code: "QZ_HYPERVISOR_OPTIONS" });
  await expect(Vm.open("two", { home })).rejects.toMatchObject({
    code: "QZ_HYPERVISOR_VM_UNKNOWN",
  });
  const none = await Vm.create({ home, kernel: { path: join(home, "nothing") }, id: "none" });
  expect(await none.ended()).toMatchObject({
    reason: "failure",
    message: expect.stringContaining("QZ_HYPERVISOR_FILE"),
  });
  const aborted = create("count", { signal: AbortSignal.abort(new Error("enough")) });
  await expect(aborted).rejects.toThrow("enough");
  expect((await Vm.list({ home })).map(({ id }) => id)).toEqual(["none", vm.id]);
});

test("the command: create, list, status, snapshot, stop, destroy → as the methods", async () => {
  vi.stubEnv("QUEZTL_HOME", home);
  const run = async (name: string, ...args: string[]): Promise<string> => {
    const stdout = new PassThrough();
    const host = {
      stdin: process.stdin,
      stdout,
      stderr: new PassThrough(),
      onSignal: () => () => undefined,
    };
    expect(await runVmCommand(name, args, host)).toBe(0);
    return String(stdout.read() ?? "");
  };
  const kernel = kernels["count"] as string;
  const id = (await run("create", "--kernel", kernel, "--memory", "2", "--label", "a=b")).trim();
  expect(await run("list")).toMatch(new RegExp(`^ID .*\n${id} .* 2 MiB`));
  expect(JSON.parse(await run("list", "--json"))).toMatchObject([{ id, labels: { a: "b" } }]);
  await vi.waitUntil(async () => (await run("status", id)).includes('"running"'), 30_000);
  await run("snapshot", id, "one");
  await run("restore", id, "one");
  expect(await run("stop", "--grace", "0", id)).toBe("stopped\n");
  await run("destroy", id);
  expect(await run("list", "--json")).toBe("[]\n");
  await expect(run("stop")).rejects.toMatchObject({ code: "QZ_HYPERVISOR_USAGE" });
  await expect(run("create", "--cpus", "0")).rejects.toMatchObject({
    code: "QZ_HYPERVISOR_OPTIONS",
  });
  expect(await run("exec", "--help")).toContain("--env NAME=VALUE");
  vi.unstubAllEnvs();
});
