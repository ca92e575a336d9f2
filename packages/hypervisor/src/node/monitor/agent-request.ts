import type { Connection } from "../../agent/connection.ts";
import { FrameType, Stream, WINDOW } from "../../agent/frame.ts";
import type { Frame } from "../../agent/frame.ts";
import { broken, encodeFields } from "../../agent/records.ts";

/** The client that a request's frames go to. */
export interface RequestOwner {
  readonly send: (type: number, stream: number, payload: Uint8Array) => void;
  /** The session with the guest is over, and how the request ended is not known. */
  readonly lost: () => void;
}

interface HeldFrame {
  readonly type: number;
  readonly stream: number;
  readonly payload: Uint8Array;
}

const KILL = encodeFields([["kill", "1"]]);

/**
 * A request in the session with the guest's agent, on behalf of a client. A persistent command may lose its client and
 * get another: what it writes meanwhile, at most a window for each stream, waits here.
 */
export class AgentRequest {
  /** The name of a persistent command. */
  readonly name: string | undefined;
  /** It has ended, or its session has. */
  ended = false;
  /** The session ended first. */
  lost = false;
  readonly #connection: Connection;
  readonly #onEnd: (request: AgentRequest) => void;
  readonly #id: number;
  #owner: RequestOwner | undefined;
  #held: HeldFrame[] = [];
  /** Bytes of each stream that the guest sent and no client has asked for more after. */
  readonly #unread = new Map<number, number>();
  /** Input that the guest has room for, and what a client sent beyond that: its predecessor's may still be on the way. */
  #inputRoom = WINDOW;
  #input: HeldFrame[] = [];
  #creditToTell = 0;
  readonly #finished = new Set<number>();

  /** Begins it. @throws coded errors of the connection */
  constructor(options: {
    readonly connection: Connection;
    readonly payload: Uint8Array;
    readonly name: string | undefined;
    readonly owner: RequestOwner;
    readonly onEnd: (request: AgentRequest) => void;
  }) {
    this.#connection = options.connection;
    this.#onEnd = options.onEnd;
    this.#owner = options.owner;
    this.name = options.name;
    this.#id = options.connection.begin(options.payload, {
      what: "a request",
      onFrame: (frame) => this.#take(frame),
      onReply: (_fields, payload) => {
        this.#end();
        this.#give({ type: FrameType.Reply, stream: 0, payload });
      },
      onError: () => {
        const owner = this.#owner;
        this.#owner = undefined;
        this.lost = true;
        this.#end();
        owner?.lost();
      },
    });
  }

  get owned(): boolean {
    return this.#owner !== undefined;
  }

  /** A client takes it over, and what it wrote since the last one left. */
  attach(owner: RequestOwner): void {
    this.#owner = owner;
    for (const { type, stream, payload } of this.#held.splice(0)) owner.send(type, stream, payload);
  }

  /** Its client is gone: a persistent command goes on, anything else is killed. */
  detach(): void {
    this.#owner = undefined;
    // Input that was given and did not fit is not another client's.
    this.#input = [];
    if (this.name === undefined && !this.ended)
      void this.#connection.send(FrameType.Control, this.#id, 0, KILL);
    for (const stream of [Stream.Stdout, Stream.Stderr]) this.#grantUnread(stream);
  }

  /** A frame of its client. Resolves when the guest has room for more. */
  async input(type: number, stream: number, payload: Uint8Array): Promise<void> {
    if (type === FrameType.Credit) {
      if (payload.length !== 4) throw new Error("a credit that is no number");
      const bytes = new DataView(payload.buffer, payload.byteOffset).getUint32(0);
      this.#unread.set(stream, Math.max(0, (this.#unread.get(stream) ?? 0) - bytes));
    }
    if (stream === Stream.Stdin && type !== FrameType.Control && type !== FrameType.Credit) {
      this.#input.push({ type, stream, payload });
      if (this.#input.length > 1) return;
      return await this.#feed();
    }
    await this.#connection.send(type, this.#id, stream, payload);
  }

  /** A frame of the guest. */
  #take(frame: Frame): void {
    const { type, stream, payload } = frame;
    if (type === FrameType.Credit) {
      if (stream !== Stream.Stdin || payload.length !== 4) throw broken("a credit that is none");
      return this.#credited(new DataView(payload.buffer, payload.byteOffset).getUint32(0));
    }
    if (type === FrameType.End) {
      if (this.#finished.has(stream)) throw broken("a second end of a stream");
      this.#finished.add(stream);
    }
    if (type === FrameType.Data || type === FrameType.Entry) {
      // Data is counted by its bytes: what has none could come for ever.
      if (payload.length === 0) throw broken("a frame without data");
      const unread = (this.#unread.get(stream) ?? 0) + payload.length;
      if (unread > WINDOW) throw broken("more data than there is credit for");
      this.#unread.set(stream, unread);
    }
    this.#give({ type, stream, payload });
  }

  /** Room that the guest has again. However often it says so, the client hears of it once a turn. */
  #credited(bytes: number): void {
    this.#inputRoom = Math.min(WINDOW, this.#inputRoom + bytes);
    void this.#feed();
    const scheduled = this.#creditToTell > 0;
    this.#creditToTell = Math.min(WINDOW, this.#creditToTell + bytes);
    if (scheduled || bytes === 0) return;
    setImmediate(() => {
      const payload = new Uint8Array(4);
      new DataView(payload.buffer).setUint32(0, this.#creditToTell);
      this.#creditToTell = 0;
      // A client that came meanwhile has a window of its own.
      if (!this.ended) this.#owner?.send(FrameType.Credit, Stream.Stdin, payload);
    });
  }

  #give(frame: HeldFrame): void {
    if (this.#owner) return this.#owner.send(frame.type, frame.stream, frame.payload);
    if (this.name !== undefined) this.#held.push(frame);
    else if (frame.type === FrameType.Data || frame.type === FrameType.Entry)
      this.#grantUnread(frame.stream);
  }

  /** What nobody will read must not hold the guest up. */
  #grantUnread(stream: number): void {
    const unread = this.#unread.get(stream) ?? 0;
    if (unread === 0 || this.ended) return;
    this.#unread.set(stream, 0);
    this.#connection.grant(this.#id, stream, unread);
  }

  async #feed(): Promise<void> {
    for (let next = this.#input[0]; next; next = this.#input[0]) {
      if (next.payload.length > this.#inputRoom) return;
      this.#inputRoom -= next.payload.length;
      this.#input.shift();
      await this.#connection.send(next.type, this.#id, next.stream, next.payload);
    }
  }

  #end(): void {
    this.ended = true;
    this.#input = [];
    this.#onEnd(this);
  }
}
