import type { Clock, Timer } from "@queztl/memory";
import type { Endpoint, HostSockets, HostUdp } from "./host-sockets.ts";

/** A guest's UDP port, as an address number and a port. */
export interface GuestPort {
  readonly address: number;
  readonly port: number;
}

const UNANSWERED_NS = 30e9;
const ANSWERED_NS = 180e9;
const MOST_FLOWS = 512;
const MOST_PEERS = 64;

interface Flow {
  readonly socket: HostUdp;
  /** Those the guest wrote to, as the host names them, with the address the guest knows them by. */
  readonly peers: Map<string, number>;
  answered: boolean;
  usedNs: number;
  timer: Timer;
}

/**
 * UDP address translation: one socket of the host for each port of the guest, taking datagrams only from those
 * the guest wrote to, closed when unused (RFC 4787: 30 s until an answer came, then 3 minutes).
 */
export class UdpFlows {
  readonly #sockets: HostSockets;
  readonly #clock: Clock;
  readonly #received: (to: GuestPort, from: GuestPort, bytes: Uint8Array) => void;
  readonly #flows = new Map<number, Flow>();

  /** @param received gets what comes for a guest, from the address the guest knows. */
  constructor(
    sockets: HostSockets,
    clock: Clock,
    received: (to: GuestPort, from: GuestPort, bytes: Uint8Array) => void,
  ) {
    this.#sockets = sockets;
    this.#clock = clock;
    this.#received = received;
  }

  get size(): number {
    return this.#flows.size;
  }

  /** Sends a guest's datagram to an endpoint of the host's network that the guest knows as `known`. */
  send(from: GuestPort, to: Endpoint, known: number, bytes: Uint8Array): void {
    const key = from.address * 65536 + from.port;
    const flow = this.#flows.get(key) ?? this.#open(key, from);
    // The order of the map is the order of use: the first is the one longest unused.
    this.#flows.delete(key);
    this.#flows.set(key, flow);
    flow.usedNs = this.#clock.nowNs();
    const peer = `${to.address}:${to.port}`;
    if (!flow.peers.has(peer) && flow.peers.size >= MOST_PEERS) {
      const oldest = flow.peers.keys().next();
      if (oldest.value !== undefined) flow.peers.delete(oldest.value);
    }
    flow.peers.set(peer, known);
    flow.socket.send(bytes, to);
  }

  close(): void {
    for (const key of this.#flows.keys()) this.#close(key);
  }

  #open(key: number, guest: GuestPort): Flow {
    if (this.#flows.size >= MOST_FLOWS) {
      const oldest = this.#flows.keys().next();
      if (oldest.value !== undefined) this.#close(oldest.value);
    }
    const socket = this.#sockets.openUdp((bytes, from) => {
      const known = flow.peers.get(`${from.address}:${from.port}`);
      if (known === undefined || this.#flows.get(key) !== flow) return;
      flow.answered = true;
      flow.usedNs = this.#clock.nowNs();
      this.#received(guest, { address: known, port: from.port }, bytes);
    });
    const flow: Flow = {
      socket,
      peers: new Map(),
      answered: false,
      usedNs: this.#clock.nowNs(),
      timer: this.#expireAt(key, this.#clock.nowNs() + UNANSWERED_NS),
    };
    return flow;
  }

  #expireAt(key: number, atNs: number): Timer {
    return this.#clock.schedule(atNs, () => {
      const flow = this.#flows.get(key);
      if (flow === undefined) return;
      const dueNs = flow.usedNs + (flow.answered ? ANSWERED_NS : UNANSWERED_NS);
      if (dueNs <= this.#clock.nowNs()) this.#close(key);
      else flow.timer = this.#expireAt(key, dueNs);
    });
  }

  #close(key: number): void {
    const flow = this.#flows.get(key);
    if (flow === undefined) return;
    this.#flows.delete(key);
    flow.timer.cancel();
    flow.socket.close();
  }
}
