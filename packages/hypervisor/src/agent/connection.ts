import { isQueztlError } from "@queztl/errors";
import { hypervisorError } from "../errors.ts";
import { deferred } from "./deferred.ts";
import type { ByteChannel } from "./channel.ts";
import { withDeadline } from "./deadline.ts";
import type { RequestOptions } from "./deadline.ts";
import {
  FrameDecoder,
  FrameType,
  MAX_MESSAGE,
  NO_SESSION,
  encodeFrames,
  encodeMarker,
} from "./frame.ts";
import type { Frame } from "./frame.ts";
import { parseHello } from "./hello.ts";
import type { AgentInfo } from "./hello.ts";
import { Fields, broken, encodeFields } from "./records.ts";
import type { Field } from "./records.ts";

/** How a session is begun. */
export interface ConnectOptions {
  /** How long the agent may take to answer at first, in milliseconds; default 60,000. */
  readonly timeoutMs?: number;
  /** How long it may take for a request that is no command or copy; default 30,000. */
  readonly requestTimeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** What a request does with what comes for it. */
export interface RequestHandler {
  /** What it is, for errors: "exec". */
  readonly what: string;
  /** Data, entries (whole), credit and the ends of streams. */
  readonly onFrame?: (frame: Frame) => void;
  /** The last that comes; also as it came. */
  readonly onReply: (reply: Fields, payload: Uint8Array) => void;
  /** Nothing more comes: the connection ended, or was begun anew. */
  readonly onError: (error: Error) => void;
}

interface Pending extends RequestHandler {
  /** A message that came in part. */
  partial: Uint8Array[];
  partialBytes: number;
}

/** Requests that were given up and not yet answered, beyond which the agent is taken for dead. */
const MAX_PENDING = 1024;
/** How often an agent that does not answer is called again, in milliseconds: it may not be up yet. */
const CALL_AGAIN_MS = 500;

/**
 * A session with the agent: requests by their ids over one channel. It begins anew by itself when the agent was
 * restarted; what ran then fails.
 */
export class Connection {
  readonly requestTimeoutMs: number;
  readonly #channel: ByteChannel;
  readonly #decoder: FrameDecoder;
  readonly #pending = new Map<number, Pending>();
  readonly #closed = deferred<unknown>();
  #nextId = 1;
  #nonce = "";
  /** Whether what comes belongs to the session that was asked for last. */
  #answered = false;
  #ready = deferred<AgentInfo>();
  #info: AgentInfo | undefined;
  #isReady = false;
  #error: Error | undefined;
  #hello: Uint8Array[] = [];
  #calling = false;
  #timer: ReturnType<typeof setInterval> | undefined;
  #writing: Promise<void> = Promise.resolve();

  private constructor(channel: ByteChannel, options: ConnectOptions) {
    this.#channel = channel;
    this.requestTimeoutMs = options.requestTimeoutMs ?? 30_000;
    this.#decoder = new FrameDecoder({
      onFrame: (frame) => this.#take(frame),
      onMarker: (nonce) => this.#marked(nonce),
      onLost: (reason) => {
        if (this.#isReady) this.#beginAnew(`it sent ${reason}`);
      },
    });
    channel.onClose?.((cause) => {
      const reason = cause instanceof Error ? cause.message : "the other side is gone";
      this.#fail(hypervisorError("QZ_HYPERVISOR_AGENT_CLOSED", { reason }, { cause }));
    });
    channel.onData((bytes) => this.#receive(bytes));
  }

  /** @throws QZ_HYPERVISOR_AGENT_UNAVAILABLE, QZ_HYPERVISOR_AGENT_VERSION, QZ_HYPERVISOR_AGENT_CANCELLED */
  static async open(channel: ByteChannel, options: ConnectOptions): Promise<Connection> {
    const connection = new Connection(channel, options);
    const { timeoutMs = 60_000, signal } = options;
    const late = () => hypervisorError("QZ_HYPERVISOR_AGENT_UNAVAILABLE", { ms: timeoutMs });
    try {
      connection.#call();
      await withDeadline(connection.#ready.promise, { timeoutMs, signal, late, what: "connect" });
      return connection;
    } catch (error) {
      await connection.close(error as Error);
      throw error;
    }
  }

  get info(): AgentInfo {
    return this.#info as AgentInfo;
  }

  get closed(): Promise<unknown> {
    return this.#closed.promise;
  }

  /** Whether requests can be made now. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Resolves when requests can be made. */
  ready(): Promise<unknown> {
    return this.#ready.promise;
  }

  /** Sends a request in the session there is, and returns its id. Call it right after `ready`. */
  begin(request: readonly Field[] | Uint8Array, handler: RequestHandler): number {
    if (this.#error) throw this.#error;
    if (this.#pending.size >= MAX_PENDING) {
      throw hypervisorError("QZ_HYPERVISOR_AGENT_LIMIT", {
        what: "the number of unanswered requests",
        limit: MAX_PENDING,
      });
    }
    const id = this.#nextId;
    this.#nextId = (this.#nextId % 0x7fffffff) + 1;
    this.#pending.set(id, { ...handler, partial: [], partialBytes: 0 });
    const payload = request instanceof Uint8Array ? request : encodeFields(request);
    void this.send(FrameType.Request, id, 0, payload);
    return id;
  }

  /** Sends frames of a request; resolves when the channel has room for more. */
  async send(type: number, id: number, stream: number, payload: Uint8Array): Promise<void> {
    if (this.#pending.has(id)) await this.#write(encodeFrames(type, id, stream, payload));
  }

  /** Lets the agent send that many bytes more. */
  grant(id: number, stream: number, bytes: number): void {
    const payload = new Uint8Array(4);
    new DataView(payload.buffer).setUint32(0, bytes);
    void this.send(FrameType.Credit, id, stream, payload);
  }

  /** A request with one answer. @throws QZ_HYPERVISOR_AGENT_REFUSED */
  async ask(operation: string, fields: readonly Field[], options: RequestOptions): Promise<Fields> {
    const { timeoutMs = this.requestTimeoutMs, signal } = options;
    const late = () =>
      hypervisorError("QZ_HYPERVISOR_AGENT_TIMEOUT", { what: operation, ms: timeoutMs });
    const answer = (async () => {
      await this.ready();
      signal?.throwIfAborted();
      return await new Promise<Fields>((resolve, reject) => {
        this.begin([["op", operation], ...fields], {
          what: operation,
          onReply: resolve,
          onError: reject,
        });
      });
    })();
    const reply = await withDeadline(answer, { timeoutMs, signal, late, what: operation });
    const reason = reply.text("error");
    if (reason !== undefined)
      throw hypervisorError("QZ_HYPERVISOR_AGENT_REFUSED", { what: operation, reason });
    return reply;
  }

  async close(error: Error): Promise<void> {
    this.#fail(error);
    await this.#channel.close();
  }

  /** One write after the other; never rejects. */
  #write(bytes: Uint8Array): Promise<void> {
    const former = this.#writing;
    const write = async () => {
      await former;
      if (this.#error) return;
      try {
        await this.#channel.write(bytes);
      } catch (cause) {
        const reason = cause instanceof Error ? cause.message : String(cause);
        this.#fail(hypervisorError("QZ_HYPERVISOR_AGENT_CLOSED", { reason }, { cause }));
      }
    };
    return (this.#writing = write());
  }

  /** Calls the agent until it answers. */
  #call(): void {
    const random = crypto.getRandomValues(new Uint8Array(8));
    this.#nonce = Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#callAgain(), CALL_AGAIN_MS);
    this.#calling = false;
    this.#callAgain();
  }

  #callAgain(): void {
    // An agent that takes nothing needs no second call behind the first.
    if (this.#calling) return;
    this.#calling = true;
    void this.#write(encodeMarker(this.#nonce)).then(() => (this.#calling = false));
  }

  #beginAnew(reason: string): void {
    this.#isReady = false;
    this.#hello = [];
    this.#ready = deferred<AgentInfo>();
    this.#failPending((what) => hypervisorError("QZ_HYPERVISOR_AGENT_RESTARTED", { what, reason }));
    this.#call();
  }

  #fail(error: Error): void {
    if (this.#error) return;
    this.#error = error;
    this.#isReady = false;
    clearInterval(this.#timer);
    this.#ready.reject(error);
    // A promise that is fulfilled already does not reject: what waits for the next session must.
    this.#ready = deferred<AgentInfo>();
    this.#ready.reject(error);
    this.#failPending(() => error);
    this.#closed.resolve(error);
  }

  #failPending(error: (what: string) => Error): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const request of pending) request.onError(error(request.what));
  }

  #receive(bytes: Uint8Array): void {
    if (this.#error) return;
    try {
      this.#decoder.push(bytes);
    } catch (error) {
      const coded = isQueztlError(error) ? error : broken(String(error));
      this.#fail(coded);
    }
  }

  #marked(nonce: string): void {
    if (this.#error) return;
    this.#hello = [];
    this.#answered = nonce === this.#nonce;
    if (this.#answered) return;
    if (this.#isReady) this.#beginAnew("it was started anew");
    // It is up now, and may not have got the call.
    else if (nonce === NO_SESSION) this.#callAgain();
  }

  #take(frame: Frame): void {
    if (this.#error) return;
    // Frames of a session that is over, on their way when this one was asked for.
    if (!this.#answered) return;
    if (frame.type === FrameType.Hello && frame.id === 0) return this.#greeted(frame);
    const request = this.#pending.get(frame.id);
    if (!request) throw broken(`a frame of type ${frame.type} for no request`);
    switch (frame.type) {
      case FrameType.Reply:
      case FrameType.Entry: {
        request.partialBytes += frame.payload.length;
        if (request.partialBytes > MAX_MESSAGE) throw broken("a message that is too long");
        request.partial.push(frame.payload);
        if (frame.more) return;
        const payload = join(request.partial);
        request.partial = [];
        request.partialBytes = 0;
        if (frame.type === FrameType.Entry) return request.onFrame?.({ ...frame, payload });
        // It stays pending while it is read: of a reply that makes no sense it must hear.
        request.onReply(new Fields(payload), payload);
        this.#pending.delete(frame.id);
        return;
      }
      case FrameType.Data:
      case FrameType.End:
      case FrameType.Credit:
        return request.onFrame?.(frame);
      default:
        throw broken(`a frame of type ${frame.type}`);
    }
  }

  #greeted(frame: Frame): void {
    if (this.#isReady) return;
    this.#hello.push(frame.payload);
    if (this.#hello.length > 4) throw broken("a greeting that is too long");
    if (frame.more) return;
    this.#info = parseHello(new Fields(join(this.#hello)));
    this.#hello = [];
    this.#isReady = true;
    clearInterval(this.#timer);
    this.#ready.resolve(this.#info);
  }
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1 && parts[0]) return parts[0];
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
