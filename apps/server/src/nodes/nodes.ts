import type { ClusterNode, ServiceOf } from "@queztl/api";
import { and, count, desc, eq, lt, ne, or } from "drizzle-orm";
import type { Logger } from "pino";
import type { Records } from "../database/database.ts";
import { pageOf } from "../database/page.ts";
import { nodes, vms } from "../database/schema.ts";
import { serverErrors } from "../errors.ts";
import type { EventLog } from "../events/event-log.ts";
import { sortableId } from "../sortable-id.ts";
import type { Engine } from "../vms/vm-host.ts";
import type { Reservations } from "./capacity.ts";

type Row = typeof nodes.$inferSelect;

/** The name of the node that the server itself is. */
export const LOCAL_NODE = "local";

/** What the nodes need of the server. */
export interface NodesParts {
  readonly records: Records;
  readonly events: EventLog;
  readonly reservations: Reservations;
  readonly engines: readonly Engine[];
  readonly diskMib: number;
  readonly version: string;
  readonly log: Logger;
  /**
   * Waits until the local node runs nothing for tasks; after so long they go back to the queue. Aborted, all
   * stays as it is.
   */
  readonly drain: (deadlineSeconds: number, signal: AbortSignal) => Promise<void>;
}

/**
 * The computers that VMs run on. This version places VMs on its own only: others can be registered, and stay
 * `unreachable` until agents exist.
 */
export class Nodes {
  readonly #parts: NodesParts;
  #drain = new AbortController();

  constructor(parts: NodesParts) {
    this.#parts = parts;
  }

  /** Registers this computer, or brings its row up to date. */
  async registerLocal(): Promise<void> {
    const { records, reservations, diskMib } = this.#parts;
    const now = new Date();
    const { cpu, memoryMib } = reservations.capacity;
    const [row] = await records
      .insert(nodes)
      .values({
        id: sortableId("node"),
        name: LOCAL_NODE,
        state: "ready",
        cordoned: false,
        cpu,
        memoryMib,
        gpu: 0,
        diskMib,
        labels: {},
        addedAt: now,
        lastSeenAt: now,
      })
      .onConflictDoUpdate({
        target: nodes.name,
        set: { state: "ready", cpu, memoryMib, diskMib, lastSeenAt: now },
      })
      .returning();
    reservations.closed = row?.cordoned ?? false;
  }

  readonly service: ServiceOf<"node"> = {
    add: async ({ name, cpu, memoryMib, gpu, diskMib = 0, labels }, { principal, requestId }) => {
      const now = new Date();
      const [row] = await this.#parts.records
        .insert(nodes)
        .values({
          id: sortableId("node"),
          name,
          state: "unreachable",
          cordoned: false,
          cpu,
          memoryMib,
          gpu,
          diskMib,
          labels,
          addedAt: now,
          lastSeenAt: now,
        })
        .onConflictDoNothing()
        .returning();
      if (row === undefined) throw serverErrors("QZ_SERVER_NAME_TAKEN", { kind: "node", name });
      await this.#tell("added", row, { actor: principal.tokenId, requestId });
      return this.#shown(row);
    },
    list: async (page) => {
      const rows = await this.#parts.records
        .select()
        .from(nodes)
        .where(page.cursor === undefined ? undefined : lt(nodes.id, page.cursor))
        .orderBy(desc(nodes.id))
        .limit(page.limit + 1);
      const shown = await Promise.all(rows.map((row) => this.#shown(row)));
      return pageOf(shown, page, { keyOf: ({ id }) => id, itemOf: (node) => node });
    },
    get: async ({ node }) => this.#shown(await this.#row(node)),
    cordon: async ({ node, cordoned }, { principal, requestId }) => {
      const row = await this.#cordon(await this.#row(node), cordoned);
      if (!cordoned && row.state === "draining") {
        this.#drain.abort();
        row.state = "ready";
        await this.#parts.records.update(nodes).set({ state: "ready" }).where(eq(nodes.id, row.id));
      }
      const what = cordoned ? "cordoned" : "uncordoned";
      await this.#tell(what, row, { actor: principal.tokenId, requestId });
      return this.#shown(row);
    },
    drain: async ({ node, deadlineSeconds }, { principal, requestId }) => {
      const row = await this.#cordon(await this.#row(node), true);
      await this.#tell("draining", row, { actor: principal.tokenId, requestId });
      if (row.name !== LOCAL_NODE) return this.#shown(row);
      await this.#parts.records
        .update(nodes)
        .set({ state: "draining" })
        .where(eq(nodes.id, row.id));
      void this.#drained(row, deadlineSeconds, { actor: principal.tokenId, requestId });
      return this.#shown({ ...row, state: "draining" });
    },
    remove: async ({ node }, { principal, requestId }) => {
      const row = await this.#row(node);
      const shown = await this.#shown(row);
      if (row.name === LOCAL_NODE) {
        const problem = "it is the server itself; stop the server instead";
        throw serverErrors("QZ_SERVER_NODE_BUSY", { node, problem });
      }
      if (shown.vms > 0) {
        const problem = `it has ${shown.vms} VMs; drain it first`;
        throw serverErrors("QZ_SERVER_NODE_BUSY", { node, problem });
      }
      await this.#parts.records.delete(nodes).where(eq(nodes.id, row.id));
      await this.#tell("removed", row, { actor: principal.tokenId, requestId });
      return shown;
    },
  };

  async #drained(
    row: Row,
    seconds: number,
    by: { actor: string; requestId: string },
  ): Promise<void> {
    const { records, drain, log } = this.#parts;
    // A second drain has its own deadline.
    this.#drain.abort();
    const { signal } = (this.#drain = new AbortController());
    try {
      await drain(seconds, signal);
      if (signal.aborted) return;
      await records.update(nodes).set({ state: "ready" }).where(eq(nodes.id, row.id));
      await this.#tell("drained", row, by);
    } catch (error) {
      log.error({ err: error, node: row.name }, "a node could not be drained");
    }
  }

  async #cordon(row: Row, cordoned: boolean): Promise<Row> {
    await this.#parts.records.update(nodes).set({ cordoned }).where(eq(nodes.id, row.id));
    if (row.name === LOCAL_NODE) this.#parts.reservations.closed = cordoned;
    return { ...row, cordoned };
  }

  async #row(wanted: string): Promise<Row> {
    const [row] = await this.#parts.records
      .select()
      .from(nodes)
      .where(or(eq(nodes.id, wanted), eq(nodes.name, wanted)));
    if (row === undefined) throw serverErrors("QZ_SERVER_NOT_FOUND", { kind: "node", wanted });
    return row;
  }

  async #shown(row: Row): Promise<ClusterNode> {
    const { records, reservations, engines, version } = this.#parts;
    const local = row.name === LOCAL_NODE;
    const [on] = await records
      .select({ vms: count() })
      .from(vms)
      .where(and(eq(vms.node, row.name), ne(vms.state, "destroyed")));
    const used = local ? reservations.used : { cpu: 0, memoryMib: 0 };
    return {
      id: row.id,
      name: row.name,
      state: row.state,
      cordoned: row.cordoned,
      engines: local ? [...engines] : [],
      capacity: { cpu: row.cpu, memoryMib: row.memoryMib, gpu: row.gpu, diskMib: row.diskMib },
      used: { ...used, gpu: 0, diskMib: 0 },
      vms: on?.vms ?? 0,
      version: local ? version : "unknown",
      labels: row.labels,
      lastSeenAt: (local ? new Date() : row.lastSeenAt).toISOString(),
      addedAt: row.addedAt.toISOString(),
    };
  }

  #tell(what: string, { id, name }: Row, by: { actor: string; requestId: string }): Promise<void> {
    return this.#parts.events.record({
      type: `node.${what}`,
      subject: id,
      name,
      message: `node ${name}: ${what}`,
      ...by,
    });
  }
}
