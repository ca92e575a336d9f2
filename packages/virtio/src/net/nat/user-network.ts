import type { Clock, Entropy } from "@queztl/memory";
import { hostEntropy } from "@queztl/memory";
import { virtioError } from "../../errors.ts";
import { BROADCAST, isGroup, macAt, putMac } from "../link.ts";
import type { Frame, LostConnection, Network, NetworkEnd, NicEnd } from "../link.ts";
import { AccessList } from "./access.ts";
import type { AccessOptions } from "./access.ts";
import { DhcpServer } from "./dhcp.ts";
import { DNS_PORT, DnsForwarder } from "./dns.ts";
import type { Endpoint, HostSockets } from "./host-sockets.ts";
import { formatAddress, inRange, parseRange } from "./ipv4.ts";
import type { AddressRange } from "./ipv4.ts";
import {
  BODY_OFFSET,
  EtherType,
  IP_OFFSET,
  Protocol,
  icmpFrame,
  parseIpv4,
  udpFrames,
} from "./packet.ts";
import type { Ipv4Header, Ipv4Packet } from "./packet.ts";
import { PortForwards } from "./port-forwards.ts";
import type { PortForward } from "./port-forwards.ts";
import { TcpFlows } from "./tcp-flows.ts";
import { parseTcp } from "./tcp-segment.ts";
import { UdpFlows } from "./udp-flows.ts";

/** How a user-mode network is made. */
export interface UserNetworkOptions {
  readonly clock: Clock;
  readonly sockets: HostSockets;
  /** Default: the host's; for TCP's initial sequence numbers. */
  readonly entropy?: Entropy;
  /** Default `10.0.2.0/24`: the gateway is .2, DNS .3, and leases begin with .15. At most 28 bits. */
  readonly range?: string;
  readonly mtu?: number;
  readonly access?: AccessOptions;
  readonly forwards?: readonly PortForward[];
  /** Resolvers instead of the host's. */
  readonly nameServers?: readonly string[];
  readonly domain?: string;
  /** TCP connections at once; default 1024. */
  readonly maxConnections?: number;
}

const GATEWAY = 2;
const NAME_SERVER = 3;
const FIRST_LEASE = 15;
const GATEWAY_MAC = 0x5255_0a00_0202;
const LOOPBACK = "127.0.0.1";
const MOST_NEIGHBOURS = 1024;
const DhcpPort = { Server: 67, Client: 68 } as const;
const Icmp = { EchoReply: 0, Unreachable: 3, Echo: 8 } as const;
const UnreachableCode = { host: 1, prohibited: 13 } as const;

/**
 * A network of its own for guests, behind the host's sockets: no rights, bridges or drivers are needed. ARP,
 * DHCP, DNS and ICMP echo are answered here; TCP ends here and goes on through a socket of the host; UDP is
 * translated. The gateway's address stands for the host's loopback, which is refused, like all
 * addresses that are not public, unless the allow-list opens it.
 */
export class UserNetwork implements Network {
  readonly counters = { frames: 0, badFrames: 0, refused: 0, fragments: 0 };
  readonly #options: UserNetworkOptions;
  readonly #range: AddressRange;
  readonly #gateway: number;
  readonly #nameServer: number;
  readonly #mtu: number;
  readonly #access: AccessList;
  readonly #dhcp: DhcpServer;
  readonly #dns: DnsForwarder;
  readonly #tcp: TcpFlows;
  readonly #udp: UdpFlows;
  readonly #forwards: PortForwards;
  /** MAC addresses of guests by their IPv4 address. */
  readonly #neighbours = new Map<number, number>();
  #nic: NicEnd | undefined;

  private constructor(options: UserNetworkOptions) {
    const { clock, sockets, range = "10.0.2.0/24", mtu = 1500 } = options;
    const entropy = options.entropy ?? hostEntropy;
    this.#options = options;
    this.#mtu = mtu;
    this.#range = parseRange(range);
    const { base, mask } = this.#range;
    if (mask > 0xffff_fff0 || mask === 0) {
      throw virtioError("QZ_VIRTIO_OPTIONS", {
        option: "range",
        value: range,
        reason: "it needs room for 16 addresses",
      });
    }
    this.#gateway = base + GATEWAY;
    this.#nameServer = base + NAME_SERVER;
    this.#access = new AccessList(options.access);
    const last = base + (~mask >>> 0) - 1;
    this.#dhcp = new DhcpServer(
      {
        first: Math.min(base + FIRST_LEASE, last),
        last: Math.min(last, base + FIRST_LEASE + MOST_NEIGHBOURS),
      },
      { mask, gateway: this.#gateway, nameServer: this.#nameServer, mtu, domain: options.domain },
    );
    this.#dns = new DnsForwarder(sockets, clock, options.nameServers);
    this.#tcp = new TcpFlows({
      clock,
      mtu,
      maxFlows: options.maxConnections ?? 1024,
      randomUint32: () => {
        const word = new Uint8Array(4);
        entropyFill(entropy, word);
        return new DataView(word.buffer).getUint32(0);
      },
      header: (remote, guest) => this.#header(remote, guest),
      hasRoom: (guest) => this.#nic?.hasRoom(this.#neighbours.get(guest) ?? BROADCAST) ?? true,
      deliver: (frame) => this.#nic?.deliver(frame),
    });
    this.#udp = new UdpFlows(sockets, clock, (to, from, bytes) => this.#sendUdp(from, to, bytes));
    this.#forwards = new PortForwards({
      clock,
      defaultGuest: Math.min(base + FIRST_LEASE, last),
      callTcp: (guest, fromPort, accept) => {
        if (!this.#neighbours.has(guest.address)) this.#askForMac(guest.address);
        const ends = {
          guest: guest.address,
          guestPort: guest.port,
          remote: this.#gateway,
          remotePort: fromPort,
        };
        return this.#tcp.call(ends, accept);
      },
      sendUdp: (guest, fromPort, bytes) =>
        this.#sendUdp({ address: this.#gateway, port: fromPort }, guest, bytes),
    });
  }

  /**
   * Makes the network and starts listening on its forwarded ports.
   * @throws QZ_VIRTIO_OPTIONS, QZ_VIRTIO_NET_LISTEN
   */
  static async open(options: UserNetworkOptions): Promise<UserNetwork> {
    const network = new UserNetwork(options);
    try {
      for (const forward of options.forwards ?? []) await network.forward(forward);
    } catch (error) {
      network.close();
      throw error;
    }
    return network;
  }

  /** Forwards one more port; resolves to where it listens. @throws QZ_VIRTIO_NET_LISTEN */
  forward(forward: PortForward): Promise<Endpoint> {
    return this.#forwards.add(forward, this.#options.sockets);
  }

  /** The forwards and where they listen. */
  get forwards(): readonly { readonly forward: PortForward; readonly endpoint: Endpoint }[] {
    return this.#forwards.open;
  }

  /** Connections and translations now. */
  get flows(): { readonly tcp: number; readonly udp: number } {
    return { tcp: this.#tcp.size, udp: this.#udp.size };
  }

  /** Plugs the one NIC in; several join through a `Switch` and its `uplink`. */
  attach(nic: NicEnd): NetworkEnd {
    this.#nic = nic;
    return {
      transmit: (frame) => this.#transmit(frame),
      roomAvailable: () => this.#tcp.output(),
      reset: () => this.#reset(),
      detach: () => {
        this.#reset();
        this.#nic = undefined;
      },
      connections: () =>
        this.#tcp.open.flatMap(({ ends, sequence }) => {
          const mac = this.#neighbours.get(ends.guest);
          return mac === undefined ? [] : [{ ...ends, mac, sequence }];
        }),
      lost: (connections) => {
        for (const each of connections) this.#tellLost(each);
      },
    };
  }

  /** Ends every connection and stops listening. */
  close(): void {
    this.#forwards.close();
    this.#reset();
  }

  #reset(): void {
    this.#tcp.reset();
    this.#udp.close();
    this.#dns.close();
    this.#neighbours.clear();
  }

  /** What goes on from a saved state is on no wire's other end: a reset says so before the guest waits for it. */
  #tellLost({ mac, sequence, ...ends }: LostConnection): void {
    if (this.#learn(ends.guest, mac)) this.#tcp.tellLost(ends, sequence);
  }

  #transmit(frame: Frame): void {
    this.counters.frames++;
    const { bytes } = frame;
    const target = macAt(bytes, 0);
    if (target !== GATEWAY_MAC && !isGroup(target)) return;
    const type = ((bytes[12] ?? 0) << 8) | (bytes[13] ?? 0);
    if (type === EtherType.Arp) this.#arp(bytes);
    else if (type === EtherType.Ipv4) this.#ipv4(bytes);
  }

  /** Answers for the gateway's addresses and learns the asker's (RFC 826). */
  #arp(request: Uint8Array): void {
    const view = new DataView(request.buffer, request.byteOffset, request.byteLength);
    if (request.length < 42 || view.getUint32(14) !== 0x0001_0800 || view.getUint16(18) !== 0x0604)
      return;
    const operation = view.getUint16(20);
    this.#learn(view.getUint32(28), macAt(request, 22));
    const wanted = view.getUint32(38);
    if (operation !== 1 || (wanted !== this.#gateway && wanted !== this.#nameServer)) return;
    this.#sendArp(2, wanted, { mac: macAt(request, 22), address: view.getUint32(28) });
  }

  #askForMac(address: number): void {
    this.#sendArp(1, this.#gateway, { mac: BROADCAST, address });
  }

  #sendArp(operation: 1 | 2, from: number, to: { mac: number; address: number }): void {
    const bytes = new Uint8Array(42);
    const view = new DataView(bytes.buffer);
    putMac(bytes, 0, to.mac);
    putMac(bytes, 6, GATEWAY_MAC);
    view.setUint16(12, EtherType.Arp);
    view.setUint32(14, 0x0001_0800);
    view.setUint16(18, 0x0604);
    view.setUint16(20, operation);
    putMac(bytes, 22, GATEWAY_MAC);
    view.setUint32(28, from);
    if (operation === 2) putMac(bytes, 32, to.mac);
    view.setUint32(38, to.address);
    this.#nic?.deliver({ bytes });
  }

  #learn(address: number, mac: number): boolean {
    const ours = address === this.#gateway || address === this.#nameServer;
    if (!inRange(address, this.#range) || ours || isGroup(mac)) return false;
    if (!this.#neighbours.has(address) && this.#neighbours.size >= MOST_NEIGHBOURS) return false;
    this.#neighbours.set(address, mac);
    return true;
  }

  #ipv4(bytes: Uint8Array): void {
    const packet = parseIpv4(bytes);
    if (packet === undefined) {
      this.counters.badFrames++;
      return;
    }
    if (packet.fragment) {
      this.counters.fragments++;
      return;
    }
    const { protocol, source, target } = packet;
    if (protocol === Protocol.Udp && this.#dhcpRequest(packet)) return;
    if (!this.#learn(source, macAt(bytes, 6))) return;
    const broadcast = (this.#range.base | ~this.#range.mask) >>> 0;
    if (target === broadcast || target === 0xffff_ffff || target >>> 28 === 14) return;
    const inside = inRange(target, this.#range);
    if (inside && target !== this.#gateway && target !== this.#nameServer) return;
    if (protocol === Protocol.Tcp) this.#tcpSegment(packet);
    else if (protocol === Protocol.Udp) this.#udpDatagram(packet);
    else if (protocol === Protocol.Icmp) this.#icmp(packet, inside);
    else this.#unreachable(packet, "prohibited");
  }

  #dhcpRequest(packet: Ipv4Packet): boolean {
    const { view, body, end, frame } = packet;
    if (end - body < 8 || view.getUint16(body + 2) !== DhcpPort.Server) return false;
    const reply = this.#dhcp.answer(frame.subarray(body + 8, end));
    if (reply === undefined) return true;
    const header = {
      sourceMac: GATEWAY_MAC,
      targetMac: reply.targetMac,
      source: this.#gateway,
      target: reply.target,
    };
    const ports = { source: DhcpPort.Server, target: DhcpPort.Client };
    for (const answer of udpFrames(header, ports, reply.message, this.#mtu))
      this.#nic?.deliver(answer);
    return true;
  }

  #icmp(packet: Ipv4Packet, inside: boolean): void {
    const { view, body, end, frame } = packet;
    if (end - body < 8 || view.getUint8(body) !== Icmp.Echo) return;
    if (!inside) {
      // Echo to the outside needs sockets that a host gives to few.
      this.#unreachable(packet, "prohibited");
      return;
    }
    const header = this.#header(packet.target, packet.source);
    if (header && end - body <= this.#mtu - 20)
      this.#nic?.deliver(icmpFrame(header, Icmp.EchoReply, 0, frame.slice(body + 4, end)));
  }

  #tcpSegment(packet: Ipv4Packet): void {
    const segment = parseTcp(packet);
    if (segment === undefined) {
      this.counters.badFrames++;
      return;
    }
    const ends = {
      guest: packet.source,
      guestPort: segment.sourcePort,
      remote: packet.target,
      remotePort: segment.targetPort,
    };
    const to = this.#hostEndpoint(packet.target, segment.targetPort);
    this.#tcp.receive(
      ends,
      segment,
      (events) => {
        if (to !== undefined) return this.#options.sockets.connectTcp(to, events);
        this.counters.refused++;
        return undefined;
      },
      (code) => this.#unreachable(packet, code),
    );
  }

  #udpDatagram(packet: Ipv4Packet): void {
    const { view, body, end, frame, source, target } = packet;
    const length = end - body < 8 ? 0 : view.getUint16(body + 4);
    if (length < 8 || body + length > end) {
      this.counters.badFrames++;
      return;
    }
    const from = { address: source, port: view.getUint16(body) };
    const port = view.getUint16(body + 2);
    const payload = frame.subarray(body + 8, body + length);
    if (target === this.#nameServer && port === DNS_PORT) {
      this.#dns.ask(payload, (answer) => this.#sendUdp({ address: target, port }, from, answer));
      return;
    }
    if (target === this.#gateway && this.#forwards.takeUdp(from, port, payload)) return;
    const to = this.#hostEndpoint(target, port);
    if (to === undefined) {
      this.counters.refused++;
      this.#unreachable(packet, "prohibited");
    } else {
      this.#udp.send(from, to, target, payload);
    }
  }

  /** Where a guest's destination is for the host, if the guest may go there. */
  #hostEndpoint(address: number, port: number): Endpoint | undefined {
    if (address === this.#nameServer) {
      const [server] = this.#dns.servers;
      return port === DNS_PORT && server !== undefined ? { address: server, port } : undefined;
    }
    const real = address === this.#gateway ? LOOPBACK : formatAddress(address);
    const number = address === this.#gateway ? 0x7f00_0001 : address;
    return this.#access.permits(number, port) ? { address: real, port } : undefined;
  }

  #unreachable(packet: Ipv4Packet, code: keyof typeof UnreachableCode): void {
    const header = this.#header(this.#gateway, packet.source);
    if (header === undefined) return;
    // Four unused bytes, then the offending packet's header and first 8 bytes (RFC 792).
    const quoted = packet.frame.subarray(IP_OFFSET, Math.min(packet.end, packet.body + 8));
    const rest = new Uint8Array(4 + quoted.length);
    rest.set(quoted, 4);
    this.#nic?.deliver(icmpFrame(header, Icmp.Unreachable, UnreachableCode[code], rest));
  }

  #sendUdp(
    from: { readonly address: number; readonly port: number },
    to: { readonly address: number; readonly port: number },
    payload: Uint8Array,
  ): void {
    const header = this.#header(from.address, to.address);
    if (header === undefined) {
      this.#askForMac(to.address);
      return;
    }
    if (payload.length > 65535 - BODY_OFFSET) return;
    const ports = { source: from.port, target: to.port };
    for (const frame of udpFrames(header, ports, payload, this.#mtu)) this.#nic?.deliver(frame);
  }

  #header(source: number, target: number): Omit<Ipv4Header, "protocol"> | undefined {
    const targetMac = this.#neighbours.get(target);
    if (targetMac === undefined) {
      this.#askForMac(target);
      return undefined;
    }
    return { sourceMac: GATEWAY_MAC, targetMac, source, target };
  }
}

function entropyFill(entropy: Entropy, bytes: Uint8Array): void {
  entropy.fill(bytes);
}
