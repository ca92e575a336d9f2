/** An IPv4 address and a port. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** What a host's TCP connection tells. */
export interface TcpEvents {
  connected(): void;
  /** Bytes from the other side; not while paused (a few may still come). */
  data(bytes: Uint8Array): void;
  /** The other side will send no more. */
  ended(): void;
  /** There is room for more output. */
  drained(): void;
  /** The connection is over; `code` is the host's error (`ECONNREFUSED`, `ECONNRESET`…), if one ended it. */
  closed(code?: string): void;
}

/** A TCP connection of the host. Half-open ones stay open. */
export interface HostTcp {
  /** Bytes written and not yet taken by the host's kernel. */
  readonly bufferedBytes: number;
  write(bytes: Uint8Array): void;
  /** Sends no more; receiving goes on. */
  end(): void;
  pause(): void;
  resume(): void;
  /** Ends the connection with a reset. */
  reset(): void;
}

/** A UDP socket of the host. */
export interface HostUdp {
  send(bytes: Uint8Array, to: Endpoint): void;
  close(): void;
}

/** Something that listens; `endpoint` says where, with the port the host chose for port 0. */
export interface HostListener {
  readonly endpoint: Endpoint;
  close(): void;
}

/** The host's network, injected: Node's sockets, or a fake in tests. */
export interface HostSockets {
  /** Connects; errors come as `closed`. */
  connectTcp(to: Endpoint, events: TcpEvents): HostTcp;
  /** Listens; for each connection `accept` gives the events and gets the connection. Rejects when it cannot. */
  listenTcp(
    at: Endpoint,
    accept: (open: (events: TcpEvents) => HostTcp, from: Endpoint) => void,
  ): Promise<HostListener>;
  /** A UDP socket on any port. Errors are dropped datagrams. */
  openUdp(received: (bytes: Uint8Array, from: Endpoint) => void): HostUdp;
  /** A UDP socket that takes datagrams at a port. Rejects when it cannot. */
  listenUdp(
    at: Endpoint,
    received: (bytes: Uint8Array, from: Endpoint) => void,
  ): Promise<HostUdp & HostListener>;
  /** The resolvers the host uses, IPv4 only. */
  nameServers(): readonly string[];
}
