import type { Clock, Timer } from "@queztl/memory";
import { ByteQueue } from "../../byte-queue.ts";
import type { HostTcp, TcpEvents } from "./host-sockets.ts";
import { TcpFlag } from "./tcp-segment.ts";
import type { OutgoingSegment, TcpSegment } from "./tcp-segment.ts";

/** What a flow needs from the network it is in. */
export interface TcpFlowLink {
  readonly clock: Clock;
  /** The largest payload of one segment for a guest without offloads. */
  readonly segmentSize: number;
  /** Bytes each direction may hold now; reading from the host stops there and goes on at half of it. */
  readonly bufferBytes: number;
  /** Sends a segment of this flow to its guest. */
  send(
    segment: Omit<OutgoingSegment, "sourcePort" | "targetPort" | "cutTo"> & { cutTo: number },
  ): void;
  /** Whether the guest has room for a frame; if not, `output` is called when it has. */
  hasRoom(): boolean;
  /** The flow is over. */
  finished(): void;
  /** Tells the guest that the host cannot be reached (ICMP), where a TCP reset would say too little. */
  unreachable(code: "host" | "prohibited"): void;
  /** Calls `acknowledge` once the frames at hand are done. */
  acknowledgeSoon(): void;
}

/** The largest segment that fits an IPv4 packet with room for its headers. */
const LARGEST_SEGMENT = 65535 - 20 - 60;
const WINDOW_SCALE = 7;
const FIRST_TIMEOUT_NS = 200e6;
const LONGEST_TIMEOUT_NS = 10e9;
const MOST_TIMEOUTS = 10;
const DUPLICATES = 3;

const UNREACHABLE: Readonly<Record<string, "host" | "prohibited">> = {
  EHOSTUNREACH: "host",
  ENETUNREACH: "host",
  ETIMEDOUT: "host",
  EACCES: "prohibited",
  EPERM: "prohibited",
};

/** The difference of two sequence numbers, as RFC 9293, 3.4 counts them. */
function ahead(a: number, b: number): number {
  return (a - b) | 0;
}

/**
 * One TCP connection between the guest and a socket of the host. The guest's side is a TCP of its own, as
 * far as a link that loses nothing needs one: windows push back, there is no congestion control, and what the
 * guest does not acknowledge is sent again from where it stopped (RFC 9293).
 */
export class TcpFlow {
  /**
   * `connecting`: the guest's SYN waits for the host. `answering`: the SYN-ACK is out. `calling`: a SYN
   * to the guest is out.
   */
  #phase: "connecting" | "answering" | "calling" | "open" | "over" = "connecting";
  readonly #link: TcpFlowLink;
  #host: HostTcp | undefined;

  readonly #out = new ByteQueue();
  #hostEnded = false;
  #hostPaused = false;
  readonly #first: number;
  #unacknowledged: number;
  #next: number;
  #highest: number;
  #guestWindow = 0;
  #guestScale = 0;
  #segmentSize = 536;
  #duplicates = 0;
  #finAcknowledged = false;
  #sending = false;

  #guestFirst = 0;
  #expected = 0;
  #advertised = 0;
  #scale = 0;
  #guestEnded = false;

  #timer: Timer | undefined;
  #timeouts = 0;
  /** Where the segment ended that was sent again, alone, after a timeout. */
  #resentTo: number | undefined;

  /** @param first the initial sequence number, unguessable. */
  constructor(link: TcpFlowLink, first: number) {
    this.#link = link;
    this.#first = first;
    this.#unacknowledged = this.#next = this.#highest = first;
  }

  /** The sequence number that the guest expects next; undefined while it has no connection. */
  get next(): number | undefined {
    return this.#phase === "connecting" || this.#phase === "over" ? undefined : this.#next;
  }

  /** What the host's connection tells this flow. */
  get events(): TcpEvents {
    return {
      connected: () => this.#hostConnected(),
      data: (bytes) => this.#hostData(bytes),
      ended: () => {
        this.#hostEnded = true;
        this.output();
      },
      drained: () => this.#windowMayOpen(),
      closed: (code) => this.#hostClosed(code),
    };
  }

  /** The guest called: `segment` is its SYN, `connect` opens the host's connection. */
  open(segment: TcpSegment, connect: () => HostTcp): void {
    this.#readOptions(segment);
    this.#phase = "connecting";
    this.#host = connect();
  }

  /** Calls the guest for a connection that the host accepted. */
  call(host: HostTcp): void {
    this.#phase = "calling";
    this.#host = host;
    this.#pauseHost(true);
    this.#sendSyn();
  }

  /** The guest sent a segment of this flow. */
  receive(segment: TcpSegment): void {
    const { flags } = segment;
    if (this.#phase === "over") return;
    if (this.#phase === "connecting") {
      if (flags & TcpFlag.Rst) this.abort(false);
      return;
    }
    if (this.#phase === "calling") {
      this.#receiveAnswer(segment);
      return;
    }
    const offset = ahead(segment.sequence, this.#expected);
    if (flags & TcpFlag.Rst) {
      // Only one inside the window is meant for this connection (RFC 5961).
      if (offset >= 0 && offset <= 0xffff << this.#scale) this.abort(false);
      return;
    }
    if (flags & TcpFlag.Syn) {
      if (this.#phase === "answering" && segment.sequence === this.#guestFirst) this.#sendSyn();
      else this.acknowledge();
      return;
    }
    if ((flags & TcpFlag.Ack) === 0 || !this.#takeAcknowledgement(segment)) return;
    this.#takePayload(segment, offset);
    this.output();
    this.#finishIfDone();
  }

  /** Sends what the guest's window and its queue have room for. */
  output(): void {
    // A guest that answers at once comes back here: the loop below sees what it said.
    if (this.#phase !== "open" || this.#sending) return;
    this.#sending = true;
    while (this.#sendPart()) {
      // Sends one segment after another.
    }
    this.#sending = false;
    const sent = ahead(this.#next, this.#unacknowledged);
    if (this.#phase === "open" && this.#hostEnded && sent === this.#out.length)
      this.#send(TcpFlag.Fin | TcpFlag.Ack, this.#advance(1));
    this.#arm();
  }

  /** Sends the next segment; false when there is nothing to send or no room for it. */
  #sendPart(): boolean {
    const sent = ahead(this.#next, this.#unacknowledged);
    const unsent = this.#out.length - sent;
    const window = this.#guestWindow - sent;
    if (unsent <= 0 || window <= 0) return false;
    const length = Math.min(unsent, window, LARGEST_SEGMENT);
    // A window that opened by a little is worth a segment only when nothing else is on its way.
    if (length < unsent && length < this.#segmentSize && sent > 0) return false;
    if (!this.#link.hasRoom()) return false;
    // Counted before it is sent, for the same guest.
    const sequence = this.#advance(length);
    this.#link.send({
      sequence,
      acknowledged: this.#expected,
      flags: TcpFlag.Ack | (length === unsent ? TcpFlag.Psh : 0),
      window: this.#window(),
      payloadBytes: length,
      payload: (target) => this.#out.copy(sent, target),
      cutTo: this.#segmentSize,
    });
    return this.#phase === "open";
  }

  /** Tells the guest what arrived and how much more may. */
  acknowledge(): void {
    if (this.#phase === "open") this.#send(TcpFlag.Ack);
  }

  /** Ends the connection on the host's side, and with a reset on the guest's if it is to be told. */
  abort(tellGuest = true): void {
    if (this.#phase === "over") return;
    if (tellGuest) this.#send(TcpFlag.Rst | TcpFlag.Ack);
    const host = this.#host;
    this.#finish();
    host?.reset();
  }

  #hostConnected(): void {
    if (this.#phase !== "connecting") return;
    this.#phase = "answering";
    this.#pauseHost(true);
    this.#sendSyn();
  }

  #hostData(bytes: Uint8Array): void {
    if (this.#phase === "over") return;
    this.#out.push(bytes);
    if (this.#out.length >= this.#link.bufferBytes) this.#pauseHost(true);
    this.output();
  }

  #hostClosed(code: string | undefined): void {
    if (this.#phase === "over") return;
    const unreachable = code === undefined ? undefined : UNREACHABLE[code];
    if (this.#phase === "connecting" && unreachable !== undefined) {
      this.#link.unreachable(unreachable);
      this.#finish();
    } else if (code !== undefined || this.#phase !== "open") {
      this.abort();
    } else {
      this.#hostEnded = true;
      this.#host = undefined;
      this.output();
      this.#finishIfDone();
    }
  }

  #sendSyn(): void {
    const answering = this.#phase === "answering";
    this.#next = this.#highest = (this.#first + 1) >>> 0;
    this.#advertised = (this.#expected + 0xffff) >>> 0;
    this.#arm();
    this.#link.send({
      sequence: this.#first,
      acknowledged: answering ? this.#expected : 0,
      flags: TcpFlag.Syn | (answering ? TcpFlag.Ack : 0),
      window: 0xffff,
      segmentSize: this.#link.segmentSize,
      windowScale: !answering || this.#scale > 0 ? WINDOW_SCALE : undefined,
      cutTo: this.#segmentSize,
    });
  }

  #receiveAnswer(segment: TcpSegment): void {
    const { flags } = segment;
    const acknowledged =
      (flags & TcpFlag.Ack) !== 0 && segment.acknowledged === (this.#first + 1) >>> 0;
    if (!acknowledged) return;
    if (flags & TcpFlag.Rst) {
      this.abort(false);
    } else if (flags & TcpFlag.Syn) {
      this.#readOptions(segment);
      this.#unacknowledged = this.#next;
      this.#opened();
      this.acknowledge();
      this.output();
    }
  }

  #readOptions(segment: TcpSegment): void {
    this.#guestFirst = segment.sequence;
    this.#expected = (segment.sequence + 1) >>> 0;
    this.#advertised = this.#expected;
    this.#guestWindow = segment.window;
    this.#segmentSize = Math.max(64, Math.min(segment.segmentSize ?? 536, this.#link.segmentSize));
    // Both scale or neither does (RFC 7323, 2.2).
    this.#guestScale = segment.windowScale ?? 0;
    this.#scale = segment.windowScale === undefined ? 0 : WINDOW_SCALE;
  }

  #opened(): void {
    this.#phase = "open";
    this.#timeouts = 0;
    this.#arm();
    this.#pauseHost(false);
  }

  /** Takes the acknowledgement and window of a segment; false when the segment is to be dropped. */
  #takeAcknowledgement(segment: TcpSegment): boolean {
    const count = ahead(segment.acknowledged, this.#unacknowledged);
    if (count > ahead(this.#highest, this.#unacknowledged)) {
      if (this.#phase === "answering") this.abort();
      else this.acknowledge();
      return false;
    }
    if (this.#phase === "answering") {
      if (count !== 1) return false;
      this.#unacknowledged = segment.acknowledged;
      this.#opened();
    } else if (count > 0) {
      const bytes = Math.min(count, this.#out.length);
      this.#out.drop(bytes);
      this.#unacknowledged = segment.acknowledged;
      if (ahead(this.#next, this.#unacknowledged) < 0) this.#next = this.#unacknowledged;
      // Just what was sent again: what followed it is lost too. More: the guest was only slow.
      if (this.#resentTo === segment.acknowledged) this.#next = this.#unacknowledged;
      this.#resentTo = undefined;
      if (count > bytes) this.#out.drop(this.#out.length);
      this.#timeouts = 0;
      this.#duplicates = 0;
      this.#arm(true);
      if (this.#out.length <= this.#link.bufferBytes / 2) this.#pauseHost(false);
      this.#finAcknowledged ||= count > bytes;
    } else if (count === 0 && segment.payload.length === 0 && this.#next !== this.#unacknowledged) {
      const window = segment.window << this.#guestScale;
      if (window === this.#guestWindow && ++this.#duplicates === DUPLICATES)
        this.#next = this.#unacknowledged;
    }
    if (count >= 0) this.#guestWindow = segment.window << this.#guestScale;
    return true;
  }

  #takePayload(segment: TcpSegment, offset: number): void {
    const fin = (segment.flags & TcpFlag.Fin) !== 0;
    const length = segment.payload.length;
    if (length === 0 && !fin) {
      // A keep-alive asks for an answer with an old sequence number.
      if (offset < 0) this.#link.acknowledgeSoon();
      return;
    }
    this.#link.acknowledgeSoon();
    if (offset > 0 || this.#guestEnded) return;
    const fresh = segment.payload.subarray(Math.min(length, -offset));
    const room = Math.max(0, ahead(this.#advertised, this.#expected));
    const taken = fresh.subarray(0, room);
    if (taken.length > 0) {
      this.#expected = (this.#expected + taken.length) >>> 0;
      this.#host?.write(taken);
    }
    if (fin && -offset <= length && taken.length === fresh.length) {
      this.#expected = (this.#expected + 1) >>> 0;
      this.#guestEnded = true;
      this.#host?.end();
    }
  }

  /** The window to advertise: what the host's socket does not hold already; never taken back. */
  #window(): number {
    const free = Math.max(0, this.#link.bufferBytes - (this.#host?.bufferedBytes ?? 0));
    const promised = Math.max(0, ahead(this.#advertised, this.#expected));
    const most = 0xffff << this.#scale;
    const window = Math.min(most, Math.max(free, promised));
    const field = window >>> this.#scale;
    const edge = (this.#expected + (field << this.#scale)) >>> 0;
    if (ahead(edge, this.#advertised) > 0) this.#advertised = edge;
    return field;
  }

  /** The host took output: the guest is told if its window was nearly shut. */
  #windowMayOpen(): void {
    if (this.#phase !== "open" || this.#guestEnded) return;
    const promised = ahead(this.#advertised, this.#expected);
    if (promised < this.#link.bufferBytes / 2) this.acknowledge();
  }

  #send(flags: number, sequence = this.#next): void {
    this.#link.send({
      sequence,
      acknowledged: this.#expected,
      flags,
      window: this.#window(),
      cutTo: this.#segmentSize,
    });
  }

  /** Counts bytes as sent; returns where they begin. */
  #advance(count: number): number {
    const from = this.#next;
    this.#next = (from + count) >>> 0;
    if (ahead(this.#next, this.#highest) > 0) this.#highest = this.#next;
    return from;
  }

  #pauseHost(paused: boolean): void {
    if (this.#hostPaused === paused) return;
    this.#hostPaused = paused;
    if (paused) this.#host?.pause();
    else this.#host?.resume();
  }

  /** Sets the timer while something waits for the guest: an acknowledgement, or a window. */
  #arm(again = false): void {
    const waits = this.#next !== this.#unacknowledged || this.#out.length > 0;
    if (!waits || again || this.#phase === "over") {
      this.#timer?.cancel();
      this.#timer = undefined;
    }
    if (!waits || this.#timer !== undefined || this.#phase === "over") return;
    const delay = Math.min(LONGEST_TIMEOUT_NS, FIRST_TIMEOUT_NS * 2 ** this.#timeouts);
    this.#timer = this.#link.clock.schedule(this.#link.clock.nowNs() + delay, () => {
      this.#timer = undefined;
      this.#timedOut();
    });
  }

  #timedOut(): void {
    if (++this.#timeouts > MOST_TIMEOUTS) {
      this.abort();
      return;
    }
    if (this.#phase === "answering" || this.#phase === "calling") {
      this.#sendSyn();
      return;
    }
    if (this.#guestWindow === 0 && this.#out.length > 0) this.#probe();
    else this.#resend();
    this.#arm();
  }

  /** The first segment once more, and not all that followed: a guest that is only slow has it. */
  #resend(): void {
    const sent = Math.min(ahead(this.#next, this.#unacknowledged), this.#out.length);
    const length = Math.min(sent, this.#segmentSize, this.#guestWindow);
    if (length <= 0) {
      this.#next = this.#unacknowledged;
      this.output();
      return;
    }
    this.#resentTo = (this.#unacknowledged + length) >>> 0;
    this.#link.send({
      sequence: this.#unacknowledged,
      acknowledged: this.#expected,
      flags: TcpFlag.Ack,
      window: this.#window(),
      payloadBytes: length,
      payload: (target) => this.#out.copy(0, target),
      cutTo: this.#segmentSize,
    });
  }

  /** One byte into a shut window, so that an opening that got lost is told again. */
  #probe(): void {
    this.#next = this.#unacknowledged;
    const probed = (this.#next + 1) >>> 0;
    if (ahead(probed, this.#highest) > 0) this.#highest = probed;
    this.#link.send({
      sequence: this.#next,
      acknowledged: this.#expected,
      flags: TcpFlag.Ack,
      window: this.#window(),
      payloadBytes: 1,
      payload: (target) => this.#out.copy(0, target),
      cutTo: this.#segmentSize,
    });
  }

  #finishIfDone(): void {
    if (this.#phase === "open" && this.#guestEnded && this.#finAcknowledged) {
      this.acknowledge();
      this.#finish();
    }
  }

  #finish(): void {
    this.#phase = "over";
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#host = undefined;
    this.#link.finished();
  }
}
