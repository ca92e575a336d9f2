import type { Socket } from "node:net";
import type { Connection } from "../../agent/connection.ts";
import {
  FrameDecoder,
  FrameType,
  MAX_MESSAGE,
  NO_SESSION,
  WINDOW,
  encodeFrames,
  encodeMarker,
} from "../../agent/frame.ts";
import type { Frame } from "../../agent/frame.ts";
import { AGENT_PROTOCOL } from "../../agent/hello.ts";
import { encodeFields } from "../../agent/records.ts";
import type { Field } from "../../agent/records.ts";
import type { AgentRequest, RequestOwner } from "./agent-request.ts";

/** What a client sent and the guest has not taken, beyond which the client waits. */
const MAX_UNTAKEN_BYTES = 1024 * 1024;
/** What the guest sent and a client has not taken, beyond which the client is given up. */
const MAX_UNSENT_BYTES = 32 * 1024 * 1024;

/** What a client's connection needs of the hub. */
export interface AgentGuestHost {
  readonly connection: (signal: AbortSignal) => Promise<Connection | undefined>;
  /** Begins a request of the client, or has it take over one. @throws why it cannot be */
  readonly begin: (
    connection: Connection,
    payload: Uint8Array,
    owner: RequestOwner,
  ) => AgentRequest;
  readonly used: () => void;
  readonly gone: () => void;
}

/**
 * One client's session: frames go through with the client's ids put in place of the guest's. Credit is between
 * the client and the guest, so that nothing piles up here; a guest that sends without is refused.
 */
export class AgentGuest {
  readonly #socket: Socket;
  readonly #host: AgentGuestHost;
  readonly #decoder: FrameDecoder;
  readonly #requests = new Map<number, AgentRequest>();
  readonly #gone = new AbortController();
  #connection: Connection | undefined;
  #session = 0;
  /** Of the session that the client asked for last; none once that is over. */
  #nonce = "";
  #open = false;
  #message: { id: number; type: number; parts: Uint8Array[]; bytes: number } | undefined;
  #untaken = 0;

  constructor(socket: Socket, host: AgentGuestHost) {
    this.#socket = socket;
    this.#host = host;
    this.#decoder = new FrameDecoder({
      onMarker: (nonce) => void this.#begin(nonce),
      onFrame: (frame) => this.#take(frame),
      onLost: () => socket.destroy(),
    });
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Uint8Array) => {
      try {
        this.#decoder.push(chunk);
      } catch {
        socket.destroy();
      }
    });
    socket.on("close", () => {
      this.#gone.abort();
      this.#leaveAll();
      host.gone();
    });
    socket.resume();
  }

  get running(): number {
    return this.#requests.size;
  }

  close(): void {
    this.#socket.end();
    this.#socket.destroySoon();
  }

  /** The client asks for a new session: what it had running is over. */
  async #begin(nonce: string): Promise<void> {
    // A client calls until it is answered: its last call may come after the answer, with its first request behind it.
    if (nonce === this.#nonce) return;
    this.#nonce = nonce;
    this.#leaveAll();
    this.#open = false;
    this.#message = undefined;
    const session = ++this.#session;
    const connection = await this.#host.connection(this.#gone.signal);
    await connection?.ready().catch(() => this.#socket.destroy());
    if (session !== this.#session || this.#socket.destroyed) return;
    if (!connection) return void this.#socket.destroy();
    this.#connection = connection;
    this.#open = true;
    const { version, capabilities } = connection.info;
    const hello: Field[] = [
      ["protocol", String(AGENT_PROTOCOL)],
      ["agent", version],
      ["window", String(WINDOW)],
      ...[...capabilities].map((name): Field => ["capability", name]),
    ];
    this.#socket.write(encodeMarker(nonce));
    this.#send(FrameType.Hello, 0, 0, encodeFields(hello));
  }

  /** A frame of the client. */
  #take(frame: Frame): void {
    if (!this.#open) return;
    this.#host.used();
    const whole = this.#gather(frame);
    if (!whole) return;
    if (frame.type === FrameType.Request) return this.#request(frame.id, whole);
    const request = this.#requests.get(frame.id);
    // It may have ended on the way.
    if (!request) return;
    this.#forward(request, frame, whole);
  }

  /** The whole message of a frame, once its last part has come. */
  #gather(frame: Frame): Uint8Array | undefined {
    const { id, type, payload, more } = frame;
    const gathered = this.#message;
    if (!gathered && !more) return payload;
    if (gathered && (gathered.id !== id || gathered.type !== type))
      throw new Error("a message inside another");
    const message = (this.#message = gathered ?? { id, type, parts: [], bytes: 0 });
    message.parts.push(payload);
    message.bytes += payload.length;
    if (message.bytes > MAX_MESSAGE) throw new Error("a message that is too long");
    if (more) return undefined;
    this.#message = undefined;
    return Buffer.concat(message.parts);
  }

  #request(clientId: number, payload: Uint8Array): void {
    if (this.#requests.has(clientId)) throw new Error("an id that is in use");
    const connection = this.#connection;
    if (!connection?.isReady) return this.lose();
    const owner: RequestOwner = {
      send: (type, stream, bytes) => {
        if (type === FrameType.Reply) this.#requests.delete(clientId);
        this.#send(type, clientId, stream, bytes);
      },
      lost: () => this.lose(),
    };
    try {
      this.#requests.set(clientId, this.#host.begin(connection, payload, owner));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const fields: Field[] = [
        ["error", reason],
        ["errno", "11"],
      ];
      this.#send(FrameType.Reply, clientId, 0, encodeFields(fields));
    }
  }

  #forward(request: AgentRequest, frame: Frame, payload: Uint8Array): void {
    this.#untaken += payload.length;
    if (this.#untaken > MAX_UNTAKEN_BYTES) this.#socket.pause();
    const taken = (): void => {
      this.#untaken -= payload.length;
      if (this.#untaken <= MAX_UNTAKEN_BYTES && this.#socket.isPaused()) this.#socket.resume();
    };
    void request.input(frame.type, frame.stream, payload).then(taken);
  }

  #send(type: number, id: number, stream: number, payload: Uint8Array): void {
    if (this.#socket.destroyed) return;
    this.#socket.write(encodeFrames(type, id, stream, payload));
    if (this.#socket.writableLength > MAX_UNSENT_BYTES) this.#socket.destroy();
  }

  /** The session with the guest is over: the client is told as by an agent that was just started. */
  lose(): void {
    if (!this.#open) return;
    this.#leaveAll();
    this.#open = false;
    this.#nonce = "";
    this.#session++;
    if (!this.#socket.destroyed) this.#socket.write(encodeMarker(NO_SESSION));
  }

  /** What it has running is over, or goes on without it. */
  #leaveAll(): void {
    const requests = [...this.#requests.values()];
    this.#requests.clear();
    for (const request of requests) request.detach();
  }
}
