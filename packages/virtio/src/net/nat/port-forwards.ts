import type { Clock } from "@queztl/memory";
import { virtioError } from "../../errors.ts";
import type {
  Endpoint,
  HostListener,
  HostSockets,
  HostTcp,
  HostUdp,
  TcpEvents,
} from "./host-sockets.ts";
import { parseAddress } from "./ipv4.ts";
import type { GuestPort } from "./udp-flows.ts";

/** A port of the host that leads to one of a guest. */
export interface PortForward {
  readonly protocol: "tcp" | "udp";
  /** Default 127.0.0.1: only the host itself. */
  readonly hostAddress?: string;
  /** 0 lets the host choose; `UserNetwork.forwards` says which. */
  readonly hostPort: number;
  /** Default: the first leased address. */
  readonly guestAddress?: string;
  readonly guestPort: number;
}

/** What forwards need from the network. */
export interface ForwardingNetwork {
  readonly clock: Clock;
  /** The address a forward without one leads to. */
  readonly defaultGuest: number;
  /** Connects to a guest from a port of the gateway; false when it cannot now. */
  callTcp(guest: GuestPort, fromPort: number, accept: (events: TcpEvents) => HostTcp): boolean;
  /** Sends a guest a datagram from a port of the gateway. */
  sendUdp(guest: GuestPort, fromPort: number, bytes: Uint8Array): void;
}

const FIRST_PORT = 49_152;
const PORTS = 65_536 - FIRST_PORT;
const UDP_IDLE_NS = 180e9;
const MOST_UDP_PEERS = 512;

interface UdpPeer {
  readonly listener: HostUdp;
  readonly client: Endpoint;
  readonly guest: GuestPort;
  usedNs: number;
}

/** The ports of the host that lead to guests. A client appears to the guest as a port of the gateway. */
export class PortForwards {
  readonly #network: ForwardingNetwork;
  readonly #listeners: { forward: PortForward; listener: HostListener }[] = [];
  #nextPort = 0;
  /** UDP clients by their port of the gateway, and back. */
  readonly #peers = new Map<number, UdpPeer>();
  readonly #ports = new Map<string, number>();

  constructor(network: ForwardingNetwork) {
    this.#network = network;
  }

  /** The forwards and where they really listen. */
  get open(): readonly { readonly forward: PortForward; readonly endpoint: Endpoint }[] {
    return this.#listeners.map(({ forward, listener }) => ({
      forward,
      endpoint: listener.endpoint,
    }));
  }

  /** Starts listening. @throws QZ_VIRTIO_NET_LISTEN when the host does not let us. */
  async add(forward: PortForward, sockets: HostSockets): Promise<Endpoint> {
    const at = { address: forward.hostAddress ?? "127.0.0.1", port: forward.hostPort };
    const address = forward.guestAddress
      ? parseAddress(forward.guestAddress)
      : this.#network.defaultGuest;
    const guest = { address, port: forward.guestPort };
    let listener: HostListener;
    try {
      listener =
        forward.protocol === "tcp"
          ? await sockets.listenTcp(at, (open) => this.#accept(guest, open))
          : await this.#listenUdp(at, guest, sockets);
    } catch (cause) {
      throw virtioError(
        "QZ_VIRTIO_NET_LISTEN",
        { place: `${forward.protocol} ${at.address}:${at.port}` },
        { cause },
      );
    }
    this.#listeners.push({ forward, listener });
    return listener.endpoint;
  }

  /** Takes a guest's datagram to a port of the gateway if it answers a forwarded one. */
  takeUdp(from: GuestPort, gatewayPort: number, bytes: Uint8Array): boolean {
    const peer = this.#peers.get(gatewayPort);
    if (peer === undefined || peer.guest.address !== from.address || peer.guest.port !== from.port)
      return false;
    peer.usedNs = this.#network.clock.nowNs();
    peer.listener.send(bytes, peer.client);
    return true;
  }

  close(): void {
    for (const { listener } of this.#listeners.splice(0)) listener.close();
    this.#peers.clear();
    this.#ports.clear();
  }

  #accept(guest: GuestPort, open: (events: TcpEvents) => HostTcp): void {
    for (let tries = 0; tries < 16; tries++)
      if (this.#network.callTcp(guest, this.#port(), open)) return;
    // Not connected to anything: opened only to be reset.
    open(NO_EVENTS).reset();
  }

  async #listenUdp(
    at: Endpoint,
    guest: GuestPort,
    sockets: HostSockets,
  ): Promise<HostUdp & HostListener> {
    const socket: HostUdp & HostListener = await sockets.listenUdp(at, (bytes, client) => {
      const port = this.#peerPort(socket, guest, client);
      this.#network.sendUdp(guest, port, bytes);
    });
    return socket;
  }

  #peerPort(listener: HostUdp, guest: GuestPort, client: Endpoint): number {
    const nowNs = this.#network.clock.nowNs();
    const key = `${guest.address}:${guest.port}<${client.address}:${client.port}`;
    const known = this.#ports.get(key);
    if (known !== undefined) {
      const peer = this.#peers.get(known);
      if (peer) peer.usedNs = nowNs;
      return known;
    }
    if (this.#peers.size >= MOST_UDP_PEERS) this.#forgetIdle(nowNs);
    const port = this.#port();
    this.#peers.set(port, { listener, client, guest, usedNs: nowNs });
    this.#ports.set(key, port);
    return port;
  }

  /** Makes room: the idle ones go, or the oldest when none is idle. */
  #forgetIdle(nowNs: number): void {
    const oldest = this.#peers.keys().next();
    const idle = [...this.#peers].filter(([, peer]) => nowNs - peer.usedNs > UDP_IDLE_NS);
    const gone = new Set(idle.map(([port]) => port));
    if (gone.size === 0 && oldest.value !== undefined) gone.add(oldest.value);
    for (const port of gone) this.#peers.delete(port);
    for (const [key, port] of this.#ports) if (gone.has(port)) this.#ports.delete(key);
  }

  /** The next port of the gateway that no UDP client has. */
  #port(): number {
    do this.#nextPort = (this.#nextPort + 1) % PORTS;
    while (this.#peers.has(FIRST_PORT + this.#nextPort));
    return FIRST_PORT + this.#nextPort;
  }
}

const NO_EVENTS: TcpEvents = {
  connected: () => {},
  data: () => {},
  ended: () => {},
  drained: () => {},
  closed: () => {},
};
