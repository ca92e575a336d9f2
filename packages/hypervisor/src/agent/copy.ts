import { hypervisorError } from "../errors.ts";
import { deferred } from "./deferred.ts";
import type { Connection } from "./connection.ts";
import { cancelled } from "./deadline.ts";
import { Inbound, Outbound } from "./flow.ts";
import { FrameType, MAX_PAYLOAD, Stream } from "./frame.ts";
import type { Frame } from "./frame.ts";
import { broken, encodeFields } from "./records.ts";
import type { Field, Fields } from "./records.ts";

/** A copy in one direction or the other. */
export class Copy {
  readonly outbound = new Outbound();
  readonly inbound: Inbound<Frame>;
  readonly reply: Promise<Fields>;
  readonly #connection: Connection;
  readonly #what: string;
  #id = 0;
  #over = false;
  readonly #signal: AbortSignal | undefined;
  readonly #reply = deferred<Fields>();
  readonly #abort = (): void => this.#fail(cancelled(this.#what, this.#signal));

  constructor(connection: Connection, what: string, signal: AbortSignal | undefined) {
    this.#connection = connection;
    this.#what = what;
    this.#signal = signal;
    this.reply = this.#reply.promise;
    this.inbound = new Inbound((bytes) => connection.grant(this.#id, Stream.Stdout, bytes));
  }

  async begin(fields: readonly Field[]): Promise<void> {
    if (this.#signal?.aborted) throw cancelled(this.#what, this.#signal);
    await this.#connection.ready();
    this.#signal?.addEventListener("abort", this.#abort);
    this.#id = this.#connection.begin([["op", this.#what], ...fields], {
      what: this.#what,
      onFrame: (frame) => this.#take(frame),
      onReply: (reply) => this.#finish(reply),
      onError: (error) => this.#fail(error),
    });
  }

  /** Sends as soon as there is credit for all of it; false when the copy is over. */
  async send(type: number, payload: Uint8Array): Promise<boolean> {
    for (let at = 0; at < payload.length;) {
      const taken = await this.outbound.take(Math.min(MAX_PAYLOAD, payload.length - at));
      if (taken === undefined) return false;
      // An entry is one message: its frames go together, when there is credit for them all.
      if (type === FrameType.Data)
        await this.#connection.send(type, this.#id, Stream.Stdin, payload.subarray(at, at + taken));
      at += taken;
    }
    if (type !== FrameType.Data) await this.#connection.send(type, this.#id, Stream.Stdin, payload);
    return !this.#over;
  }

  /** Nothing more is sent. */
  async end(): Promise<void> {
    await this.#connection.send(FrameType.End, this.#id, Stream.Stdin, new Uint8Array(0));
  }

  /** Nobody waits for it any more; the agent is told. */
  cancel(): void {
    if (this.#over) return;
    this.#fail(cancelled(this.#what, this.#signal));
  }

  #take(frame: Frame): void {
    if (frame.type === FrameType.Credit) {
      if (frame.payload.length !== 4) throw broken("a credit that is no number");
      const { buffer, byteOffset } = frame.payload;
      this.outbound.grant(new DataView(buffer, byteOffset).getUint32(0));
    } else if (frame.type === FrameType.End) this.inbound.end();
    else this.inbound.push(frame, frame.payload.length);
  }

  #finish(reply: Fields): void {
    this.#close();
    const reason = reply.text("error");
    if (reason !== undefined) {
      const details = { what: this.#what, reason };
      return this.#fail(hypervisorError("QZ_HYPERVISOR_AGENT_REFUSED", details));
    }
    this.inbound.end();
    this.#reply.resolve(reply);
  }

  #fail(error: Error): void {
    if (!this.#over && this.#id !== 0)
      void this.#connection.send(FrameType.Control, this.#id, 0, encodeFields([["kill", "1"]]));
    this.#close();
    this.inbound.abandon(error);
    this.#reply.reject(error);
  }

  #close(): void {
    this.#over = true;
    this.outbound.close();
    this.#signal?.removeEventListener("abort", this.#abort);
  }
}
