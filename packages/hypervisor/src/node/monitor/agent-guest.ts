import type { Socket } from "node:net";
import type { Connection } from "../../agent/connection.ts";
import {
  FrameDecoder,
  FrameType,
  MAX_MESSAGE,
  NO_SESSION,
  Stream,
  WINDOW,
  encodeFrames,
  encodeMarker,
} from "../../agent/frame.ts";
import type { Frame } from "../../agent/frame.ts";
import { AGENT_PROTOCOL } from "../../agent/hello.ts";
import { broken, encodeFields } from "../../agent/records.ts";
import type { Field } from "../../agent/records.ts";

/** What a client sent and the guest has not taken, beyond which the client waits. */
const MAX_UNTAKEN_BYTES = 1024 * 1024;
/** What the guest sent and a client has not taken, beyond which the client is given up. */
const MAX_UNSENT_BYTES = 32 * 1024 * 1024;

interface GuestRequest {
  /** Its id in the session with the guest's agent. */
  readonly id: number;
  /** Bytes that the guest sent on a stream without the client's leave for more. */
  readonly outstanding: Map<number, number>;
}

/** What a client's connection needs of the hub. */
export interface AgentGuestHost {
  readonly connection: (signal: AbortSignal) => Promise<Connection | undefined>;
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
  readonly #requests = new Map<number, GuestRequest>();
  readonly #gone = new AbortController();
  #connection: Connection | undefined;
  #session = 0;
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
      this.#killAll();
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
    this.#killAll();
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
    if (frame.type === FrameType.Credit) this.#granted(request, frame);
    this.#forward(request.id, frame.type, frame.stream, whole);
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
    const outstanding = new Map<number, number>();
    const session = this.#session;
    // A client that is gone is heard no more; what the guest still sends for it is thrown away.
    const mine = (): boolean => session === this.#session && this.#requests.has(clientId);
    try {
      const id = connection.begin(payload, {
        what: "a request",
        onFrame: (frame) => {
          const { type, stream } = frame;
          if (type === FrameType.Data || type === FrameType.Entry) {
            const sent = (outstanding.get(stream) ?? 0) + frame.payload.length;
            if (sent > WINDOW) throw broken("more data than there is credit for");
            outstanding.set(stream, sent);
            if (!mine()) {
              outstanding.set(stream, 0);
              return connection.grant(id, stream, sent);
            }
          }
          if (mine()) this.#send(type, clientId, stream, frame.payload);
        },
        onReply: (_reply, bytes) => {
          this.#host.used();
          if (!mine()) return;
          this.#requests.delete(clientId);
          this.#send(FrameType.Reply, clientId, 0, bytes);
        },
        onError: () => {
          if (mine()) this.lose();
        },
      });
      this.#requests.set(clientId, { id, outstanding });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#send(
        FrameType.Reply,
        clientId,
        0,
        encodeFields([
          ["error", reason],
          ["errno", "11"],
        ]),
      );
    }
  }

  #granted(request: GuestRequest, { stream, payload }: Frame): void {
    if (payload.length !== 4) throw new Error("a credit that is no number");
    const bytes = new DataView(payload.buffer, payload.byteOffset).getUint32(0);
    const sent = request.outstanding.get(stream) ?? 0;
    request.outstanding.set(stream, Math.max(0, sent - bytes));
  }

  #forward(id: number, type: number, stream: number, payload: Uint8Array): void {
    this.#untaken += payload.length;
    if (this.#untaken > MAX_UNTAKEN_BYTES) this.#socket.pause();
    const taken = (): void => {
      this.#untaken -= payload.length;
      if (this.#untaken <= MAX_UNTAKEN_BYTES && this.#socket.isPaused()) this.#socket.resume();
    };
    void this.#connection?.send(type, id, stream, payload).then(taken);
  }

  #send(type: number, id: number, stream: number, payload: Uint8Array): void {
    if (this.#socket.destroyed) return;
    this.#socket.write(encodeFrames(type, id, stream, payload));
    if (this.#socket.writableLength > MAX_UNSENT_BYTES) this.#socket.destroy();
  }

  /** The session with the guest is over: the client is told as by an agent that was just started. */
  lose(): void {
    if (!this.#open) return;
    this.#requests.clear();
    this.#open = false;
    this.#session++;
    if (!this.#socket.destroyed) this.#socket.write(encodeMarker(NO_SESSION));
  }

  #killAll(): void {
    const kill = encodeFields([["kill", "1"]]);
    for (const { id, outstanding } of this.#requests.values()) {
      void this.#connection?.send(FrameType.Control, id, 0, kill);
      for (const stream of [Stream.Stdout, Stream.Stderr]) {
        const sent = outstanding.get(stream) ?? 0;
        outstanding.set(stream, 0);
        if (sent > 0) this.#connection?.grant(id, stream, sent);
      }
    }
    this.#requests.clear();
  }
}
