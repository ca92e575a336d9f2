import { ByteQueue } from "../byte-queue.ts";
import { virtioError } from "../errors.ts";
import { Operation, ShutdownFlag } from "./config.ts";
import type { PacketHeader } from "./config.ts";

/** What a socket tells its owner. */
export interface VsockEvents {
  /** Bytes from the guest; returning false means "enough for now" and holds the guest back until `resume`. */
  data?(bytes: Uint8Array): boolean | void;
  /** The guest will send no more. */
  ended?(): void;
  /** There is room for output again after `write` said false. */
  drained?(): void;
  /** The connection is over. */
  closed?(): void;
}

/** Bytes each direction may hold for one socket. */
export const SOCKET_BYTES = 256 * 1024;

/** What a socket needs from its device. */
export interface SocketLink {
  /** Sends a packet without data. */
  control(operation: number, flags?: number): void;
  /** The socket has data to send and credit for it. */
  output(): void;
  finished(): void;
}

/** The host's end of a stream between host and guest (virtio 1.2, 5.10.6). */
export class VsockSocket {
  readonly localPort: number;
  readonly remotePort: number;
  readonly #link: SocketLink;
  readonly #out = new ByteQueue();
  readonly #in: Uint8Array[] = [];
  #events: VsockEvents | undefined;
  #paused = true;
  #open = true;
  /** Bytes the guest sent, and those of them the owner took. */
  #received = 0;
  #forwarded = 0;
  #told = 0;
  /** Bytes sent to the guest, and what it said of its buffer. */
  #sent = 0;
  #peerBytes = 0;
  #peerForwarded = 0;
  #guestEnded = false;
  #endTold = false;
  #ending = false;
  #ended = false;
  #full = false;

  constructor(ports: { local: number; remote: number }, link: SocketLink) {
    this.localPort = ports.local;
    this.remotePort = ports.remote;
    this.#link = link;
  }

  /** Sets who takes what comes; until then the guest's bytes wait. */
  listen(events: VsockEvents): void {
    this.#events = events;
    this.resume();
    if (!this.#open) events.closed?.();
  }

  /** Lets data come again after `data` returned false. */
  resume(): void {
    this.#paused = false;
    this.#deliver();
  }

  /**
   * Sends bytes; they are kept until the guest has room. False when that is already much: wait for `drained`.
   * @throws QZ_VIRTIO_CLOSED after `end`, or when the connection is over.
   */
  write(bytes: Uint8Array): boolean {
    if (!this.#open || this.#ending)
      throw virtioError("QZ_VIRTIO_CLOSED", { what: `vsock port ${this.remotePort}` });
    this.#out.push(new Uint8Array(bytes));
    this.#full = this.#out.length >= SOCKET_BYTES;
    const room = !this.#full;
    this.#link.output();
    return room;
  }

  /** Sends no more once what was written is sent; receiving goes on. */
  end(): void {
    if (!this.#open || this.#ending) return;
    this.#ending = true;
    this.#finishOutput();
  }

  /** Ends the connection at once. */
  reset(): void {
    if (!this.#open) return;
    this.#link.control(Operation.Reset);
    this.over();
  }

  /** For the device: how many bytes may be sent now. */
  get sendable(): number {
    const credit = this.#peerBytes - ((this.#sent - this.#peerForwarded) >>> 0);
    return Math.max(0, Math.min(credit, this.#out.length));
  }

  /** For the device: the fields of credit in each packet. */
  credit(): { bufferBytes: number; forwarded: number } {
    this.#told = this.#forwarded;
    return { bufferBytes: SOCKET_BYTES, forwarded: this.#forwarded >>> 0 };
  }

  /** For the device: takes the next bytes to send. */
  takeOutput(most: number): Uint8Array {
    const bytes = new Uint8Array(Math.min(most, this.sendable));
    this.#out.copy(0, bytes);
    this.#out.drop(bytes.length);
    this.#sent = (this.#sent + bytes.length) >>> 0;
    if (this.#full && this.#out.length <= SOCKET_BYTES / 2) {
      this.#full = false;
      this.#events?.drained?.();
    }
    this.#finishOutput();
    return bytes;
  }

  /** For the device: a packet of this connection, with its data. */
  receive(header: PacketHeader, data: Uint8Array): void {
    this.#peerBytes = header.bufferBytes;
    this.#peerForwarded = header.forwarded;
    switch (header.operation) {
      case Operation.Data:
        this.#receiveData(data);
        break;
      case Operation.Shutdown:
        this.#guestShutDown(header.flags);
        break;
      case Operation.CreditRequest:
        this.#link.control(Operation.CreditUpdate);
        break;
      case Operation.CreditUpdate:
      case Operation.Response:
        break;
      case Operation.Reset:
        this.over();
        return;
      default:
        this.reset();
        return;
    }
    if (this.#open && this.sendable > 0) this.#link.output();
  }

  /** For the device: the connection is over on the guest's side. */
  over(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#link.finished();
    this.#out.drop(this.#out.length);
    // What came before the end is still the owner's, unless nobody asks for it.
    this.#guestEnded = true;
    this.#deliver();
    this.#events?.closed?.();
  }

  #receiveData(data: Uint8Array): void {
    this.#received += data.length;
    // A guest that sends more than it was allowed does not keep to the protocol.
    if (this.#received - this.#forwarded > SOCKET_BYTES || this.#guestEnded) {
      this.reset();
      return;
    }
    if (data.length > 0) this.#in.push(data);
    this.#deliver();
  }

  #guestShutDown(flags: number): void {
    if (flags & ShutdownFlag.Send) this.#guestEnded = true;
    if (flags & ShutdownFlag.Receive) {
      this.#ending = this.#ended = true;
      this.#out.drop(this.#out.length);
    }
    this.#deliver();
    if ((flags & ShutdownFlag.Both) === ShutdownFlag.Both) this.reset();
  }

  #deliver(): void {
    while (!this.#paused && this.#events) {
      const bytes = this.#in.shift();
      if (bytes === undefined) break;
      this.#forwarded += bytes.length;
      if (this.#events.data?.(bytes) === false) this.#paused = true;
    }
    if (this.#open && this.#forwarded - this.#told >= SOCKET_BYTES / 2)
      this.#link.control(Operation.CreditUpdate);
    if (this.#guestEnded && !this.#endTold && this.#in.length === 0 && this.#events) {
      this.#endTold = true;
      this.#events.ended?.();
    }
  }

  /** Says that nothing more comes once everything is out; closes when the guest said so too. */
  #finishOutput(): void {
    if (!this.#ending || this.#ended || this.#out.length > 0) return;
    this.#ended = true;
    const flags = this.#guestEnded ? ShutdownFlag.Both : ShutdownFlag.Send;
    this.#link.control(Operation.Shutdown, flags);
  }
}
