import type { Vm } from "@queztl/api";
import { isQueztlError } from "@queztl/errors";
import { and, count, eq, inArray, ne, or } from "drizzle-orm";
import type { Logger } from "pino";
import type { Records } from "../database/database.ts";
import { snapshots, vms } from "../database/schema.ts";
import { serverErrors } from "../errors.ts";
import type { EventLog } from "../events/event-log.ts";
import type { Reservations } from "../nodes/capacity.ts";
import { LOCAL_NODE } from "../nodes/nodes.ts";
import type { HostedVm, StartOptions, VmHost, VmSpec } from "./vm-host.ts";

export type VmRow = typeof vms.$inferSelect;

/** A VM to be made, with what its record says beside its size. */
export interface NewVm extends VmSpec {
  readonly purpose?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly task?: string;
  readonly decision?: string;
  /** Whether it is started next: it counts as being created until then. */
  readonly starts?: boolean;
}

/** Who wants something, for the audit trail. */
export interface Actor {
  readonly actor: string;
  readonly requestId?: string;
}

/** What the fleet is made of. */
export interface FleetParts {
  readonly records: Records;
  readonly host: VmHost;
  readonly reservations: Reservations;
  readonly events: EventLog;
  readonly log: Logger;
}

const STATES_WITH_MONITOR: readonly Vm["state"][] = ["creating", "running", "paused"];

/** All VMs of this computer: their records, their processes, and what is reserved for them, kept in step. */
export class Fleet {
  readonly parts: FleetParts;
  readonly #handles = new Map<string, HostedVm>();
  readonly #starts = new Map<string, { stop: AbortController; over: Promise<unknown> }>();
  #stopping = false;
  #closed = false;

  constructor(parts: FleetParts) {
    this.parts = parts;
  }

  /** A VM that is not destroyed, by id or name. Throws `QZ_SERVER_NOT_FOUND`. */
  async row(wanted: string): Promise<VmRow> {
    const [row] = await this.parts.records
      .select()
      .from(vms)
      .where(and(or(eq(vms.id, wanted), eq(vms.name, wanted)), ne(vms.state, "destroyed")));
    if (row === undefined) throw serverErrors("QZ_SERVER_NOT_FOUND", { kind: "VM", wanted });
    return row;
  }

  /** The process of a VM. Throws `QZ_SERVER_STATE` where it has none. */
  handle({ id, state }: Pick<VmRow, "id" | "state">): HostedVm {
    const handle = this.#handles.get(id);
    if (handle !== undefined) return handle;
    throw serverErrors("QZ_SERVER_STATE", { kind: "VM", id, state, needed: "created here" });
  }

  find(id: string): HostedVm | undefined {
    return this.#handles.get(id);
  }

  /** Makes a record and then a VM; what was reserved under its id stays so. It is not started. */
  async create(wanted: NewVm, by: Actor, signal?: AbortSignal): Promise<HostedVm> {
    const { records, host, events } = this.parts;
    const { id, name, cpu, memoryMib, diskMib, image } = wanted;
    const [engine = "emulator"] = host.engines;
    const [row] = await records
      .insert(vms)
      .values({
        id,
        name,
        state: "creating",
        purpose: wanted.purpose ?? null,
        cpu,
        memoryMib,
        gpu: 0,
        diskMib,
        image,
        engine,
        node: LOCAL_NODE,
        ports: [],
        labels: { ...wanted.labels },
        task: wanted.task ?? null,
        parent: null,
        decision: wanted.decision ?? null,
        problem: null,
        createdAt: new Date(),
        startedAt: null,
      })
      .onConflictDoNothing()
      .returning();
    if (row === undefined) throw serverErrors("QZ_SERVER_NAME_TAKEN", { kind: "VM", name });
    try {
      const vm = await host.create(wanted, signal === undefined ? {} : { signal });
      this.#adopt(vm);
      const state = wanted.starts === true ? "creating" : "stopped";
      const [kept] = await records
        .update(vms)
        .set({ engine: vm.engine, ports: [...vm.ports], state })
        .where(and(eq(vms.id, id), ne(vms.state, "destroyed")))
        .returning({ id: vms.id });
      if (kept === undefined) {
        this.#handles.delete(id);
        await vm.destroy();
        throw destroyedMeanwhile(vm);
      }
      await events.record({
        type: "vm.created",
        subject: id,
        name,
        message: `VM ${name} with ${cpu} CPU and ${memoryMib} MiB from ${image}`,
        details: { cpu, memoryMib, image },
        ...by,
      });
      return vm;
    } catch (cause) {
      await this.update(id, { state: "destroyed", problem: problemOf(cause) });
      throw cause;
    }
  }

  /** Starts a VM. Throws `QZ_SERVER_STATE` where it is destroyed meanwhile, which ends the start. */
  async start(vm: HostedVm, by: Actor, options: StartOptions = {}): Promise<VmRow> {
    if (this.#stopping) throw serverErrors("QZ_SERVER_STOPPING");
    if (this.#handles.get(vm.id) !== vm) throw destroyedMeanwhile(vm);
    const stop = new AbortController();
    const signal =
      options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
    const started = vm.start({ ...options, signal });
    this.#starts.set(vm.id, { stop, over: started.catch(() => undefined) });
    try {
      await started;
    } catch (cause) {
      stop.signal.throwIfAborted();
      throw cause;
    } finally {
      this.#starts.delete(vm.id);
    }
    if (this.#handles.get(vm.id) !== vm) throw destroyedMeanwhile(vm);
    return this.moved(vm, "running", "started", by, {
      ports: [...vm.ports],
      startedAt: new Date(),
      problem: null,
    });
  }

  /** Notes a change of state and tells of it. */
  async moved(
    { id }: { id: string },
    state: Vm["state"],
    what: string,
    by: Actor,
    more: Partial<VmRow> = {},
  ): Promise<VmRow> {
    const row = await this.update(id, { ...more, state });
    await this.parts.events.record({
      type: `vm.${what}`,
      subject: id,
      name: row.name,
      message: `VM ${row.name}: ${what}`,
      ...by,
    });
    return row;
  }

  async update(id: string, changes: Partial<VmRow>): Promise<VmRow> {
    const [row] = await this.parts.records
      .update(vms)
      .set(changes)
      .where(eq(vms.id, id))
      .returning();
    if (row === undefined) throw serverErrors("QZ_SERVER_NOT_FOUND", { kind: "VM", wanted: id });
    return row;
  }

  /** Destroys a VM with all that belongs to it; its record stays as `destroyed`. */
  async destroy(id: string, by: Actor, problem?: VmRow["problem"]): Promise<VmRow> {
    const handle = this.#handles.get(id);
    this.#handles.delete(id);
    const start = this.#starts.get(id);
    start?.stop.abort(destroyedMeanwhile({ id }));
    try {
      await start?.over;
      await handle?.destroy();
    } finally {
      this.parts.reservations.release(id);
    }
    await this.parts.records.delete(snapshots).where(eq(snapshots.vm, id));
    const why = problem === undefined ? {} : { problem };
    return this.moved({ id }, "destroyed", "destroyed", by, why);
  }

  /** Takes a VM under the fleet's care. */
  #adopt(vm: HostedVm): void {
    this.#handles.set(vm.id, vm);
    vm.onEnded(({ state, problem }) => {
      if (this.#closed || this.#handles.get(vm.id) !== vm) return;
      this.parts.reservations.release(vm.id);
      const crashed =
        state === "crashed"
          ? { problem: problemOf(serverErrors("QZ_SERVER_VM_CRASHED", { vm: vm.id, problem })) }
          : {};
      this.moved(vm, state, state, { actor: "system" }, crashed).catch((error: unknown) => {
        this.parts.log.error({ err: error, vm: vm.id }, "the end of a VM could not be noted");
      });
    });
  }

  async fork(parent: VmRow, spec: { id: string; name: string }, by: Actor): Promise<VmRow> {
    const { records, events } = this.parts;
    const [row] = await records
      .insert(vms)
      .values({
        ...parent,
        ...spec,
        state: "creating",
        task: null,
        parent: parent.id,
        ports: [],
        createdAt: new Date(),
        startedAt: null,
      })
      .onConflictDoNothing()
      .returning();
    if (row === undefined)
      throw serverErrors("QZ_SERVER_NAME_TAKEN", { kind: "VM", name: spec.name });
    try {
      const vm = await this.handle(parent).fork(spec);
      this.#adopt(vm);
      await events.record({
        type: "vm.forked",
        subject: spec.id,
        name: spec.name,
        message: `VM ${spec.name} was forked from ${parent.name}`,
        details: { parent: parent.id },
        ...by,
      });
      const changes = { ports: [...vm.ports], startedAt: new Date(), state: "running" as const };
      return await this.update(spec.id, changes);
    } catch (cause) {
      await this.update(spec.id, { state: "destroyed", problem: problemOf(cause) });
      throw cause;
    }
  }

  /**
   * After a start: takes over the VMs that went on without a server, marks those as crashed whose monitor is gone, and
   * clears away what no record knows. Returns how many were taken over.
   */
  async reconcile(): Promise<number> {
    const { records, host, reservations, events, log } = this.parts;
    const rows = await records.select().from(vms).where(ne(vms.state, "destroyed"));
    let taken = 0;
    for (const row of rows) {
      const vm = await host.open(specOf(row)).catch((error: unknown) => {
        log.warn({ err: error, vm: row.id }, "a VM cannot be taken over");
        return undefined;
      });
      if (vm === undefined) {
        // Nothing is left of it.
        await this.moved(row, "destroyed", "lost", { actor: "system" });
        continue;
      }
      this.#adopt(vm);
      taken += 1;
      if (vm.state === "running" || vm.state === "paused") {
        reservations.adopt(row.id, row);
        if (row.state !== vm.state) await this.update(row.id, { state: vm.state });
      } else if (STATES_WITH_MONITOR.includes(row.state)) {
        const problem = "its monitor was gone when the server started";
        const lost = serverErrors("QZ_SERVER_VM_CRASHED", { vm: row.id, problem });
        await this.moved(
          row,
          "crashed",
          "crashed",
          { actor: "system" },
          { problem: problemOf(lost) },
        );
      }
    }
    const known = new Set(rows.map(({ id }) => id));
    for (const id of await host.list()) {
      if (known.has(id)) continue;
      log.warn({ vm: id }, "a VM that no record knows is removed");
      await host.remove(id);
    }
    if (taken > 0) {
      await events.record({
        type: "server.reattached",
        message: `${taken} VMs were taken over`,
        details: { vms: taken },
      });
    }
    return taken;
  }

  async counts(): Promise<Record<Vm["state"], number>> {
    const counted = { creating: 0, running: 0, paused: 0, stopped: 0, crashed: 0, destroyed: 0 };
    const rows = await this.parts.records
      .select({ state: vms.state, vms: count() })
      .from(vms)
      .groupBy(vms.state);
    for (const row of rows) counted[row.state] = row.vms;
    return counted;
  }

  /** VMs that hold something now. */
  running(): Promise<VmRow[]> {
    return this.parts.records
      .select()
      .from(vms)
      .where(inArray(vms.state, ["running", "paused"]));
  }

  /** Gives up what is just being started, and starts nothing more. */
  async stopStarting(): Promise<void> {
    this.#stopping = true;
    const starts = [...this.#starts.values()];
    for (const { stop } of starts) stop.abort(serverErrors("QZ_SERVER_STOPPING"));
    await Promise.all(starts.map(({ over }) => over));
  }

  /** Lets go of all VMs; they go on. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#handles.clear();
    await this.parts.host.close();
  }
}

const destroyedMeanwhile = ({ id }: { readonly id: string }) =>
  serverErrors("QZ_SERVER_STATE", {
    kind: "VM",
    id,
    state: "destroyed",
    needed: "left alone until it runs",
  });

/** Why something failed, as records keep it. */
export function problemOf(cause: unknown): { code: string; message: string } {
  if (isQueztlError(cause)) {
    return { code: cause.code, message: cause.message.slice(0, 4000) || cause.code };
  }
  return { code: "QZ_API_INTERNAL", message: "the server failed; its log has the cause" };
}

/** A VM as it was asked for, from its record. */
const specOf = (row: VmRow) => ({
  id: row.id,
  name: row.name,
  image: row.image,
  cpu: row.cpu,
  memoryMib: row.memoryMib,
  diskMib: row.diskMib,
  ports: row.ports,
  network: row.task === null,
  started: row.startedAt !== null,
});
