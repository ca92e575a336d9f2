import type { Socket } from "node:net";
import { keptOpen } from "../../agent/channel.ts";
import type { ByteChannel } from "../../agent/channel.ts";
import { AgentClient } from "../../agent/client.ts";
import { Connection } from "../../agent/connection.ts";
import { Fields } from "../../agent/records.ts";
import { hypervisorError } from "../../errors.ts";
import { AgentGuest } from "./agent-guest.ts";
import { AgentRequest } from "./agent-request.ts";
import type { RequestOwner } from "./agent-request.ts";

/** Where the guest's agent is. */
export type AgentState = "waiting" | "ready" | "failed";

/** How long until an agent that broke its protocol is called again. */
const CALL_AGAIN_MS = 2000;
/** Persistent commands that ended with nobody to hear of it; each holds up to two windows of output. */
const MAX_UNHEARD = 64;
/** It may take as long as the guest takes to boot. */
const NEVER_MS = 2 ** 31 - 1;

/**
 * The guest's agent for several clients: each speaks the agent's protocol over a connection of its own, as if
 * it were alone, and their requests share one session. A client that goes takes its commands with it.
 */
export class AgentHub {
  readonly #onState: (state: AgentState) => void;
  readonly #guests = new Set<AgentGuest>();
  readonly #persistent = new Map<string, AgentRequest>();
  #state: AgentState = "waiting";
  #connection: Connection | undefined;
  #waiting: ((connection: Connection | undefined) => void)[] = [];
  #closed = false;
  #stop = new AbortController();
  /** When a client last asked for something, or a command ended. */
  lastUseMs = performance.now();

  constructor(onState: (state: AgentState) => void) {
    this.#onState = onState;
  }

  get state(): AgentState {
    return this.#state;
  }

  /** Requests of clients that run now. */
  get running(): number {
    let running = 0;
    for (const guest of this.#guests) running += guest.running;
    return running;
  }

  /**
   * The agent behind a channel is the guest's from here on, as after a restore or a reset; what ran before is over.
   * @param first what is done with it before anybody else gets it, once.
   * @param reason why what ran before is over
   */
  use(
    channel: ByteChannel,
    first?: (agent: AgentClient) => Promise<void>,
    reason = "the machine was put back to a snapshot",
  ): void {
    this.#leave(reason);
    this.#stop = new AbortController();
    void this.#keepCalling(channel, this.#stop.signal, first);
  }

  /** A client of the monitor's own; waits for the agent. Do not close it. */
  async client(signal?: AbortSignal): Promise<AgentClient | undefined> {
    const connection = await this.connection(signal);
    return connection && AgentClient.over(connection);
  }

  /** Resolves when the agent answers; undefined when that will not be, or `signal` says not to wait. */
  connection(signal?: AbortSignal): Promise<Connection | undefined> {
    if (this.#connection || this.#closed || signal?.aborted)
      return Promise.resolve(this.#connection);
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      signal?.addEventListener("abort", () => resolve(undefined), { once: true });
    });
  }

  /** Serves a client on its connection, which has come to speak the agent's protocol. */
  attach(socket: Socket): void {
    const guest: AgentGuest = new AgentGuest(socket, {
      connection: (signal) => this.connection(signal),
      begin: (connection, payload, owner) => this.#begin(connection, payload, owner),
      used: () => (this.lastUseMs = performance.now()),
      gone: () => this.#guests.delete(guest),
    });
    this.#guests.add(guest);
    this.lastUseMs = performance.now();
  }

  /** Whether something runs for a client, there or gone. */
  get busy(): boolean {
    return this.running > 0 || [...this.#persistent.values()].some(({ ended }) => !ended);
  }

  /** Persistent commands that run, or whose end nobody has heard of, by name. */
  get persistent(): string[] {
    return [...this.#persistent.keys()];
  }

  close(): void {
    this.#closed = true;
    this.#leave("the machine has ended");
    for (const guest of this.#guests) guest.close();
    for (const resolve of this.#waiting.splice(0)) resolve(undefined);
  }

  /** @throws QZ_HYPERVISOR_AGENT_REFUSED for a name that is in use; what the connection throws */
  #begin(connection: Connection, payload: Uint8Array, owner: RequestOwner): AgentRequest {
    const fields = new Fields(payload);
    const attaches = fields.text("op") === "attach";
    const name = fields.text(attaches ? "name" : "persist");
    const there = name === undefined ? undefined : this.#persistent.get(name);
    if (there && (there.owned || !(attaches || there.ended))) {
      const reason = `${name} is ${there.owned ? "attached to by another client" : "running"}`;
      throw hypervisorError("QZ_HYPERVISOR_AGENT_REFUSED", { what: "the command", reason });
    }
    if (there && attaches) {
      if (there.ended) this.#persistent.delete(there.name as string);
      // Its id must be known before its frames come.
      queueMicrotask(() => there.attach(owner));
      return there;
    }
    const request = new AgentRequest({
      connection,
      payload,
      name,
      owner,
      onEnd: (ended) => this.#ended(ended),
    });
    if (name !== undefined) this.#persistent.set(name, request);
    return request;
  }

  #ended(request: AgentRequest): void {
    this.lastUseMs = performance.now();
    const { name } = request;
    if (name === undefined || this.#persistent.get(name) !== request) return;
    this.#persistent.delete(name);
    if (request.owned || request.lost) return;
    // Behind those that ended before: of too many the oldest are forgotten.
    this.#persistent.set(name, request);
    const unheard = [...this.#persistent].filter(([, { ended }]) => ended);
    for (const [old] of unheard.slice(0, -MAX_UNHEARD)) this.#persistent.delete(old);
  }

  async #keepCalling(
    channel: ByteChannel,
    signal: AbortSignal,
    first: ((agent: AgentClient) => Promise<void>) | undefined,
  ): Promise<void> {
    let toDo = first;
    while (!signal.aborted) {
      let connection: Connection | undefined;
      try {
        connection = await Connection.open(keptOpen(channel), { timeoutMs: NEVER_MS, signal });
        await toDo?.(AgentClient.over(connection));
        toDo = undefined;
        if (signal.aborted) return;
        this.#connection = connection;
        this.#setState("ready");
        for (const resolve of this.#waiting.splice(0)) resolve(connection);
        await connection.closed;
      } catch (error) {
        // It broke the protocol, or nobody waits any more.
        await connection?.close(error as Error);
      }
      if (signal.aborted) return;
      this.#connection = undefined;
      this.#setState("failed");
      await new Promise((resolve) => setTimeout(resolve, CALL_AGAIN_MS).unref());
    }
  }

  #leave(reason: string): void {
    this.#stop.abort();
    const connection = this.#connection;
    this.#connection = undefined;
    this.#persistent.clear();
    if (connection) void connection.close(new Error(reason));
    for (const guest of this.#guests) guest.lose();
    this.#setState("waiting");
  }

  #setState(state: AgentState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#onState(state);
  }
}
