import type { Clock } from "@queztl/memory";
import type { Frame } from "../link.ts";
import type { HostTcp, TcpEvents } from "./host-sockets.ts";
import type { Ipv4Header } from "./packet.ts";
import { TcpFlow } from "./tcp-flow.ts";
import { TcpFlag, tcpFrame } from "./tcp-segment.ts";
import type { OutgoingSegment, TcpSegment } from "./tcp-segment.ts";

/** A connection's two ends as the guest sees them. */
export interface TcpEnds {
  readonly guest: number;
  readonly guestPort: number;
  readonly remote: number;
  readonly remotePort: number;
}

/** What the flows need from the network. */
export interface TcpNetwork {
  readonly clock: Clock;
  readonly mtu: number;
  readonly maxFlows: number;
  randomUint32(): number;
  /** The header of a frame from `remote` to `guest`; undefined while the guest's MAC address is unknown. */
  header(remote: number, guest: number): Omit<Ipv4Header, "protocol"> | undefined;
  hasRoom(guest: number): boolean;
  deliver(frame: Frame): void;
}

/** Bytes all flows may hold in one direction, and the most and least one of them may. */
const ALL_BYTES = 64 * 1024 * 1024;
const MOST_BYTES = 1024 * 1024;
const LEAST_BYTES = 64 * 1024;

/** The TCP connections of a network. */
export class TcpFlows {
  readonly #network: TcpNetwork;
  readonly #flows = new Map<string, { readonly ends: TcpEnds; readonly flow: TcpFlow }>();
  readonly #unacknowledged = new Set<TcpFlow>();
  #identification = 0;

  constructor(network: TcpNetwork) {
    this.#network = network;
  }

  get size(): number {
    return this.#flows.size;
  }

  /** The connections that a guest has, with the sequence number that it expects next. */
  get open(): readonly { readonly ends: TcpEnds; readonly sequence: number }[] {
    return Array.from(this.#flows.values()).flatMap(({ ends, flow }) =>
      flow.next === undefined ? [] : [{ ends, sequence: flow.next }],
    );
  }

  /**
   * Resets a connection of a guest that was restored without it. One that is not as far answers with what it expects
   * (RFC 5961, 3.2), and then gets that.
   */
  tellLost(ends: TcpEnds, sequence: number): void {
    if (this.#flows.has(keyOf(ends))) return;
    const reset = { sequence, acknowledged: 0, flags: TcpFlag.Rst, window: 0, cutTo: 536 };
    this.#send(ends, reset);
  }

  /**
   * A guest's segment. For a new connection `connect` opens the host's, or returns undefined when the guest may
   * not go there; `unreachable` tells the guest so where a reset would say too little.
   */
  receive(
    ends: TcpEnds,
    segment: TcpSegment,
    connect: (events: TcpEvents) => HostTcp | undefined,
    unreachable: (code: "host" | "prohibited") => void,
  ): void {
    const key = keyOf(ends);
    const known = this.#flows.get(key);
    if (known !== undefined) {
      known.flow.receive(segment);
      return;
    }
    if (segment.flags & TcpFlag.Rst) return;
    const isSyn = (segment.flags & (TcpFlag.Syn | TcpFlag.Ack)) === TcpFlag.Syn;
    if (!isSyn || this.#flows.size >= this.#network.maxFlows) {
      this.#refuse(ends, segment);
      return;
    }
    const flow = this.#make(ends, unreachable);
    const host = connect(flow.events);
    if (host === undefined) {
      this.#flows.delete(key);
      this.#refuse(ends, segment);
    } else {
      flow.open(segment, () => host);
    }
  }

  /** Calls a guest for a connection of the host; false when there are too many or the ends are in use. */
  call(ends: TcpEnds, accept: (events: TcpEvents) => HostTcp): boolean {
    if (this.#flows.size >= this.#network.maxFlows || this.#flows.has(keyOf(ends))) return false;
    const flow = this.#make(ends, () => {});
    flow.call(accept(flow.events));
    return true;
  }

  /** The guest has room for frames again. */
  output(): void {
    for (const { flow } of this.#flows.values()) flow.output();
  }

  /** Ends every connection on the host's side with a reset; the guest is gone. */
  reset(): void {
    for (const { flow } of this.#flows.values()) flow.abort(false);
  }

  #make(ends: TcpEnds, unreachable: (code: "host" | "prohibited") => void): TcpFlow {
    const network = this.#network;
    const flows = this.#flows;
    const key = keyOf(ends);
    const flow: TcpFlow = new TcpFlow(
      {
        clock: network.clock,
        segmentSize: network.mtu - 40,
        get bufferBytes() {
          return Math.max(LEAST_BYTES, Math.min(MOST_BYTES, Math.floor(ALL_BYTES / flows.size)));
        },
        send: (segment) => this.#send(ends, segment),
        hasRoom: () => network.hasRoom(ends.guest),
        finished: () => {
          if (flows.get(key)?.flow === flow) flows.delete(key);
        },
        unreachable,
        acknowledgeSoon: () => this.#acknowledgeSoon(flow),
      },
      network.randomUint32(),
    );
    flows.set(key, { ends, flow });
    return flow;
  }

  #send(ends: TcpEnds, segment: Omit<OutgoingSegment, "sourcePort" | "targetPort">): void {
    const header = this.#network.header(ends.remote, ends.guest);
    if (header === undefined) return;
    this.#identification = (this.#identification + 1) & 0xffff;
    this.#network.deliver(
      tcpFrame(
        { ...header, identification: this.#identification },
        { ...segment, sourcePort: ends.remotePort, targetPort: ends.guestPort },
      ),
    );
  }

  /** One acknowledgement for all segments the guest sent in one go. */
  #acknowledgeSoon(flow: TcpFlow): void {
    this.#unacknowledged.add(flow);
    if (this.#unacknowledged.size > 1) return;
    queueMicrotask(() => {
      const flows = [...this.#unacknowledged];
      this.#unacknowledged.clear();
      for (const each of flows) each.acknowledge();
    });
  }

  /** The answer to a segment of no connection (RFC 9293, 3.10.7.1). */
  #refuse(ends: TcpEnds, segment: TcpSegment): void {
    const header = this.#network.header(ends.remote, ends.guest);
    if (header === undefined) return;
    const acknowledges = (segment.flags & TcpFlag.Ack) !== 0;
    const length =
      segment.payload.length +
      (segment.flags & TcpFlag.Syn ? 1 : 0) +
      (segment.flags & TcpFlag.Fin ? 1 : 0);
    this.#network.deliver(
      tcpFrame(header, {
        sourcePort: ends.remotePort,
        targetPort: ends.guestPort,
        sequence: acknowledges ? segment.acknowledged : 0,
        acknowledged: acknowledges ? 0 : (segment.sequence + length) >>> 0,
        flags: acknowledges ? TcpFlag.Rst : TcpFlag.Rst | TcpFlag.Ack,
        window: 0,
        cutTo: 536,
      }),
    );
  }
}

function keyOf({ guest, guestPort, remote, remotePort }: TcpEnds): string {
  return `${guest}:${guestPort}>${remote}:${remotePort}`;
}
