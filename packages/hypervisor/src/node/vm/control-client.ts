import type { Socket } from "node:net";
import { QueztlError } from "@queztl/errors";
import type { ErrorStatus } from "@queztl/errors";
import { z } from "zod";
import { deferred } from "../../agent/deferred.ts";
import type { Deferred } from "../../agent/deferred.ts";
import { hypervisorError } from "../../errors.ts";
import { connectControl } from "./control-socket.ts";
import { LineReader } from "./line-reader.ts";
import {
  CONTROL_PROTOCOL,
  MAX_REPLY_BYTES,
  helloSchema,
  monitorMessageSchema,
  operations,
} from "./protocol.ts";
import type { MonitorMessage, Operation, ParamsOf, ResultOf, VmEvent } from "./protocol.ts";
import type { VmFolder } from "./vm-folder.ts";

/** Operations that turn the connection into a stream of bytes. */
type StreamOperation = "console" | "agent";

interface Call {
  readonly operation: Operation;
  readonly reply: Deferred<unknown>;
}

/** One connection to a monitor: requests by their ids, and events. */
export class ControlClient {
  readonly #vm: string;
  readonly #socket: Socket;
  readonly #lines = new LineReader(MAX_REPLY_BYTES);
  readonly #calls = new Map<number, Call>();
  readonly #greeted = deferred<void>();
  readonly #closed = deferred<void>();
  #nextId = 1;
  #keepsProcess = true;
  #isGreeted = false;
  #error: Error | undefined;
  /** The rest of what came with the reply that made a stream of the connection. */
  #surplus: Uint8Array | undefined;
  #streamId = 0;

  /** Takes events, once `subscribe` was called. */
  onEvent: (event: VmEvent) => void = () => undefined;

  private constructor(vm: string, socket: Socket) {
    this.#vm = vm;
    this.#socket = socket;
    socket.on("data", this.#take);
    socket.on("error", () => undefined);
    socket.on("close", this.#lost);
  }

  /** @throws QZ_HYPERVISOR_VM_LOST, QZ_HYPERVISOR_VM_PROTOCOL */
  static async connect(folder: VmFolder): Promise<ControlClient> {
    const client = new ControlClient(folder.id, await connectControl(folder));
    await client.#greeted.promise;
    return client;
  }

  /** Connects and turns the connection into a stream. @throws as `connect` and `call` */
  static async stream<Name extends StreamOperation>(
    folder: VmFolder,
    operation: Name,
    params: ParamsOf<Name>,
  ): Promise<Socket> {
    const client = await ControlClient.connect(folder);
    client.#streamId = client.#nextId;
    try {
      await client.call(operation, params);
    } catch (error) {
      client.close();
      throw error;
    }
    return client.#release();
  }

  /** Resolves when the connection has ended. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Asks the monitor for something. @throws its coded errors; QZ_HYPERVISOR_VM_LOST, QZ_HYPERVISOR_VM_CANCELLED */
  async call<Name extends Operation>(
    operation: Name,
    params: ParamsOf<Name>,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<ResultOf<Name>> {
    const { signal } = options;
    if (this.#error) throw this.#error;
    if (signal?.aborted) throw this.#cancelled(operation, signal);
    const id = this.#nextId++;
    const reply = deferred<unknown>();
    this.#calls.set(id, { operation, reply });
    const abort = (): void => {
      this.#send({ cancel: id });
      this.#calls.delete(id);
      reply.reject(this.#cancelled(operation, signal));
    };
    signal?.addEventListener("abort", abort);
    this.#socket.ref();
    try {
      this.#send({ id, op: operation, params });
      return (await reply.promise) as ResultOf<Name>;
    } finally {
      signal?.removeEventListener("abort", abort);
      if (this.#calls.size === 0 && !this.#keepsProcess) this.#socket.unref();
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Lets this process end although the connection is open, but not amid a call. */
  unref(): void {
    this.#keepsProcess = false;
    if (this.#calls.size === 0) this.#socket.unref();
  }

  #send(message: object): void {
    if (!this.#socket.destroyed) this.#socket.write(`${JSON.stringify(message)}\n`);
  }

  readonly #take = (chunk: Uint8Array): void => {
    try {
      const rest = this.#lines.push(chunk, (line) => this.#line(line));
      if (rest === undefined) return;
      this.#surplus = rest;
      this.#socket.pause();
    } catch (cause) {
      const reason = cause instanceof z.ZodError ? z.prettifyError(cause) : String(cause);
      this.#fail(hypervisorError("QZ_HYPERVISOR_VM_PROTOCOL", { id: this.#vm, reason }, { cause }));
    }
  };

  /** @returns whether more lines may come. */
  #line(line: string): boolean {
    const value: unknown = JSON.parse(line);
    if (!this.#isGreeted) {
      const hello = helloSchema.parse(value);
      if (hello.protocol !== CONTROL_PROTOCOL) {
        const reason = `it speaks version ${hello.protocol}, not ${CONTROL_PROTOCOL}`;
        throw new Error(reason);
      }
      this.#isGreeted = true;
      this.#greeted.resolve();
      return true;
    }
    return this.#message(monitorMessageSchema.parse(value));
  }

  #message(message: MonitorMessage): boolean {
    if ("event" in message) {
      this.onEvent(message.event);
      return true;
    }
    const call = this.#calls.get(message.id);
    // It was given up.
    if (!call) return true;
    this.#calls.delete(message.id);
    if ("error" in message) call.reply.reject(errorOf(message.error));
    else call.reply.resolve(operations[call.operation].result.parse(message.result));
    return message.id !== this.#streamId || "error" in message;
  }

  #release(): Socket {
    const socket = this.#socket;
    socket.off("data", this.#take);
    socket.off("close", this.#lost);
    if (this.#surplus?.length) socket.unshift(this.#surplus);
    return socket;
  }

  readonly #lost = (): void => {
    const reason = "its monitor closed the connection";
    this.#fail(hypervisorError("QZ_HYPERVISOR_VM_LOST", { id: this.#vm, reason }));
  };

  #fail(error: Error): void {
    this.#error ??= error;
    this.#socket.destroy();
    this.#greeted.reject(this.#error);
    for (const { reply } of this.#calls.values()) reply.reject(this.#error);
    this.#calls.clear();
    this.#closed.resolve();
  }

  #cancelled(what: string, signal: AbortSignal | undefined): Error {
    return hypervisorError("QZ_HYPERVISOR_VM_CANCELLED", { what }, { cause: signal?.reason });
  }
}

/** An error as a monitor sends it, made whole again. */
function errorOf(error: Extract<MonitorMessage, { error: unknown }>["error"]): QueztlError {
  const { code, status, message, details } = error;
  return new QueztlError(code, { status: status as ErrorStatus, message }, details);
}
