import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { rm } from "node:fs/promises";
import { isQueztlError } from "@queztl/errors";
import { z } from "zod";
import { hypervisorError } from "../../errors.ts";
import { LineReader } from "../vm/line-reader.ts";
import {
  CONTROL_PROTOCOL,
  MAX_REQUEST_BYTES,
  clientMessageSchema,
  operations,
} from "../vm/protocol.ts";
import type { Operation, ParamsOf, ResultOf, VmEvent } from "../vm/protocol.ts";

type StreamOperation = "console" | "agent";
type PlainOperation = Exclude<Operation, StreamOperation | "subscribe">;

/** What a monitor does for its clients. */
export type ControlHandlers = {
  readonly [Name in PlainOperation]: (
    params: z.output<(typeof operations)[Name]["params"]>,
    signal: AbortSignal,
  ) => Promise<ResultOf<Name>> | ResultOf<Name>;
} & {
  /** Take over a connection; nothing of the control protocol comes on it any more. */
  readonly [Name in StreamOperation]: (
    params: z.output<(typeof operations)[Name]["params"]>,
    socket: Socket,
  ) => void;
};

/** More clients than any server needs; each costs a few kilobytes. */
const MAX_CONNECTIONS = 256;
const MAX_REQUESTS = 64;
/** A client that does not take its replies and events loses its connection. */
const MAX_UNSENT_BYTES = 4 * 1024 * 1024;

/** Serves the control protocol on a socket of this process's working folder. */
export class ControlServer {
  readonly #server: Server;
  readonly #connections = new Set<ControlConnection>();

  private constructor(server: Server) {
    this.#server = server;
  }

  /** @param path relative: a socket's path may have 103 bytes. What is left there by a dead monitor is removed. */
  static async listen(
    path: string,
    hello: { readonly vm: string; readonly pid: number },
    handlers: ControlHandlers,
  ): Promise<ControlServer> {
    await rm(path, { force: true });
    const server = createServer();
    const control = new ControlServer(server);
    server.maxConnections = MAX_CONNECTIONS;
    server.on("connection", (socket) => {
      const connection = new ControlConnection(socket, handlers);
      control.#connections.add(connection);
      socket.once("close", () => control.#connections.delete(connection));
      connection.send({ queztl: "monitor", protocol: CONTROL_PROTOCOL, ...hello });
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      // Only this user's processes may connect.
      const mask = process.umask(0o077);
      server.listen({ path }, () => resolve());
      process.umask(mask);
    });
    return control;
  }

  /** Tells all who subscribed. */
  tell(event: VmEvent): void {
    for (const connection of this.#connections)
      if (connection.subscribed) connection.send({ event });
  }

  /** Takes no more connections and ends those there are, when what was sent to them has left. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const connection of this.#connections) connection.end();
    await closed;
  }
}

/** How long a client may take for what was sent to it last. */
const LINGER_MS = 1000;

class ControlConnection {
  subscribed = false;
  readonly #socket: Socket;
  readonly #handlers: ControlHandlers;
  readonly #lines = new LineReader(MAX_REQUEST_BYTES);
  readonly #running = new Map<number, AbortController>();

  constructor(socket: Socket, handlers: ControlHandlers) {
    this.#socket = socket;
    this.#handlers = handlers;
    socket.on("error", () => undefined);
    socket.on("data", this.#take);
    socket.on("close", () => {
      for (const controller of this.#running.values()) controller.abort();
    });
  }

  send(message: object): void {
    if (this.#socket.destroyed) return;
    this.#socket.write(`${JSON.stringify(message)}\n`);
    if (this.#socket.writableLength > MAX_UNSENT_BYTES) this.#socket.destroy();
  }

  end(): void {
    this.#socket.end();
    setTimeout(() => this.#socket.destroy(), LINGER_MS).unref();
  }

  readonly #take = (chunk: Uint8Array): void => {
    try {
      const rest = this.#lines.push(chunk, (line) => this.#line(line));
      if (rest?.length) this.#socket.unshift(rest);
    } catch {
      // Who does not speak the protocol cannot be told so in it.
      this.#socket.destroy();
    }
  };

  /** @returns whether the next line is of the control protocol too. */
  #line(line: string): boolean {
    const message = clientMessageSchema.parse(JSON.parse(line));
    if ("cancel" in message) {
      this.#running.get(message.cancel)?.abort();
      return true;
    }
    const { id, op, params } = message;
    try {
      const name = operationOf(op);
      const checked = check(name, params);
      if (name === "console" || name === "agent") {
        this.#socket.off("data", this.#take);
        this.#socket.pause();
        this.send({ id, result: {} });
        // The rest of this chunk is put back first.
        queueMicrotask(() => this.#handlers[name](checked as never, this.#socket));
        return false;
      }
      if (name === "subscribe") {
        this.subscribed = true;
        this.send({ id, result: {} });
        return true;
      }
      if (this.#running.size >= MAX_REQUESTS || this.#running.has(id))
        throw hypervisorError("QZ_HYPERVISOR_VM_LIMIT", {
          what: "the number of unanswered requests",
          limit: MAX_REQUESTS,
        });
      void this.#run(id, name, checked);
    } catch (error) {
      this.#refuse(id, error);
    }
    return true;
  }

  async #run(id: number, name: PlainOperation, params: unknown): Promise<void> {
    const controller = new AbortController();
    this.#running.set(id, controller);
    try {
      const result = await this.#handlers[name](params as never, controller.signal);
      this.send({ id, result });
    } catch (error) {
      this.#refuse(id, error);
    } finally {
      this.#running.delete(id);
    }
  }

  #refuse(id: number, error: unknown): void {
    const coded = isQueztlError(error)
      ? error
      : hypervisorError("QZ_HYPERVISOR_CRASHED", {
          reason: error instanceof Error ? error.message : String(error),
        });
    const { code, status, message } = coded;
    const details = Object.fromEntries(
      Object.entries(coded.details).flatMap(([key, value]) => {
        if (value === undefined) return [];
        return [[key, typeof value === "bigint" ? value.toString() : value]];
      }),
    );
    this.send({ id, error: { code, status, message, details } });
  }
}

function operationOf(op: string): Operation {
  if (Object.hasOwn(operations, op)) return op as Operation;
  const known = Object.keys(operations).join(", ");
  throw hypervisorError("QZ_HYPERVISOR_OPTIONS", {
    option: "op",
    value: op,
    expected: `give ${known}`,
  });
}

function check<Name extends Operation>(name: Name, params: unknown): ParamsOf<Name> {
  const parsed = operations[name].params.safeParse(params ?? {});
  if (parsed.success) return parsed.data as ParamsOf<Name>;
  const expected = z.prettifyError(parsed.error);
  throw hypervisorError("QZ_HYPERVISOR_OPTIONS", {
    option: `the parameters of ${name}`,
    value: JSON.stringify(params).slice(0, 200),
    expected,
  });
}
