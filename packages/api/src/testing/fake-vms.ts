import type { z } from "zod";
import type { snapshotOutput, vmOutput } from "../schemas/vm.ts";
import type { ServiceOf } from "../services.ts";
import type { FakeEvents } from "./fake-events.ts";
import { conflict, notFound, NOW, Shelf } from "./shelf.ts";

type Vm = z.input<typeof vmOutput>;
type Snapshot = z.input<typeof snapshotOutput>;

const grant = {
  path: "/v1/console",
  protocol: "queztl.console.v1",
  expiresAt: NOW,
};

const log = {
  id: "log-1",
  at: NOW,
  stream: "console" as const,
  text: "queztl: ready\n",
};

/** VMs that are only records: states change at once, a guest knows `echo`. */
export function fakeVms(events: FakeEvents): ServiceOf<"vm"> {
  const vms = new Shelf<Vm>("vm");
  const snapshots = new Shelf<Snapshot>("snapshot");
  const files = new Map<string, string>();
  let tickets = 0;

  const alive = (wanted: string): Vm => {
    const vm = vms.all.find(
      ({ id, name, state }) => state !== "destroyed" && (id === wanted || name === wanted),
    );
    if (vm === undefined) throw notFound("vm", wanted);
    return vm;
  };
  const move = (wanted: string, from: readonly Vm["state"][], state: Vm["state"]): Vm => {
    const vm = alive(wanted);
    if (!from.includes(vm.state)) throw conflict(`${wanted} is ${vm.state}`);
    vm.state = state;
    events.emit("vm", state, vm.id);
    return vm;
  };
  const add = (parts: Partial<Vm>): Vm => {
    const id = vms.nextId();
    const name = parts.name ?? id;
    if (vms.all.some((vm) => vm.name === name && vm.state !== "destroyed")) {
      throw conflict(`the name ${name} is taken`);
    }
    events.emit("vm", "created", id);
    return vms.add({
      state: "running",
      purpose: null,
      resources: { cpu: 1, memoryMib: 256, gpu: 0, diskMib: 1024 },
      image: "debian-12",
      engine: "emulator",
      node: "local",
      ports: [],
      labels: {},
      task: null,
      parent: null,
      decision: null,
      problem: null,
      createdAt: NOW,
      startedAt: null,
      ...parts,
      id,
      name,
    });
  };
  const openGrant = (vm: string) => {
    alive(vm);
    tickets += 1;
    return { ...grant, ticket: `ticket-0000000000-${tickets}` };
  };
  const snapshotOf = (vm: string, wanted: string): Snapshot => {
    const { id } = alive(vm);
    const found = snapshots.find(wanted);
    if (found?.vm !== id) throw notFound("snapshot", wanted);
    return found;
  };

  return {
    async create({ name, purpose, cpu = 1, memoryMib = 512, diskMib = 1024, gpu = 0, ...rest }) {
      return add({
        ...(name === undefined ? {} : { name }),
        purpose: purpose ?? null,
        state: rest.start ? "running" : "stopped",
        resources: { cpu, memoryMib, gpu, diskMib },
        decision: purpose === undefined ? null : "decision-1",
        ports: rest.ports.map(({ host = 40_000, ...port }) => ({ ...port, host })),
        labels: rest.labels,
      });
    },
    list: async ({ states, ...page }) =>
      vms.page(page, ({ state }) => states?.includes(state) ?? state !== "destroyed"),
    get: async ({ vm }) => alive(vm),
    start: async ({ vm }) => move(vm, ["stopped", "crashed"], "running"),
    stop: async ({ vm }) => move(vm, ["running", "paused"], "stopped"),
    pause: async ({ vm }) => move(vm, ["running"], "paused"),
    resume: async ({ vm }) => move(vm, ["paused"], "running"),
    reset: async ({ vm }) => move(vm, ["running", "paused"], "running"),
    destroy: async ({ vm, force }) =>
      move(vm, force ? ["running", "paused", "stopped", "crashed"] : ["stopped"], "destroyed"),
    async snapshot({ vm, name }) {
      const id = snapshots.nextId();
      return snapshots.add({ id, name: name ?? id, vm: alive(vm).id, bytes: 1, createdAt: NOW });
    },
    async snapshots({ vm, ...page }) {
      const { id } = alive(vm);
      return snapshots.page(page, (snapshot) => snapshot.vm === id);
    },
    removeSnapshot: async ({ vm, snapshot }) => snapshots.remove(snapshotOf(vm, snapshot).id),
    async restore({ vm, snapshot }) {
      snapshotOf(vm, snapshot);
      return alive(vm);
    },
    fork: async ({ vm, name }) =>
      add({
        ...alive(vm),
        parent: alive(vm).id,
        ...(name === undefined ? { name: `${alive(vm).name}-fork` } : { name }),
      }),
    async exec({ vm, command: [program, ...words] }) {
      alive(vm);
      return {
        exitCode: program === "echo" ? 0 : 127,
        signal: null,
        timedOut: false,
        stdout: program === "echo" ? `${words.join(" ")}\n` : "",
        stderr: program === "echo" ? "" : `${program}: not found\n`,
        truncated: false,
        seconds: 0.01,
      };
    },
    openExec: async ({ vm }) => openGrant(vm),
    console: async ({ vm }) => openGrant(vm),
    async copyTo({ vm, path, data, offset }) {
      const key = `${alive(vm).id}:${path}`;
      const bytes = (files.get(key) ?? "").slice(0, offset) + atob(data);
      files.set(key, bytes);
      return { bytes: bytes.length };
    },
    async copyFrom({ vm, path, offset, length }) {
      const bytes = files.get(`${alive(vm).id}:${path}`);
      if (bytes === undefined) throw notFound("file", path);
      return { data: btoa(bytes.slice(offset, offset + length)), offset, bytes: bytes.length };
    },
    async logs({ vm }) {
      alive(vm);
      return { items: [log], nextCursor: null };
    },
    async *followLogs({ vm }) {
      alive(vm);
      yield log;
    },
    async stats({ vm }) {
      alive(vm);
      return {
        at: NOW,
        cpuShare: 0.5,
        cpuSeconds: 1,
        memoryMib: 100,
        memoryShare: 0.4,
        diskMib: 1,
        readBytes: 0,
        writtenBytes: 0,
        receivedBytes: 0,
        sentBytes: 0,
        uptimeSeconds: 2,
      };
    },
  };
}
