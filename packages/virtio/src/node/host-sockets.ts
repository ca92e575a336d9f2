import { createSocket } from "node:dgram";
import type { RemoteInfo, Socket as DatagramSocket } from "node:dgram";
import { getServers } from "node:dns";
import { connect, createServer, isIPv4 } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import type {
  Endpoint,
  HostListener,
  HostSockets,
  HostTcp,
  HostUdp,
  TcpEvents,
} from "../net/nat/host-sockets.ts";

/** The host's TCP and UDP sockets, for `UserNetwork`. */
export function nodeSockets(): HostSockets {
  return {
    connectTcp(to, events) {
      const socket = connect({
        host: to.address,
        port: to.port,
        allowHalfOpen: true,
        noDelay: true,
        autoSelectFamily: false,
      });
      socket.once("connect", () => events.connected());
      return hostTcp(socket, events);
    },

    listenTcp(at, accept) {
      const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true });
      server.on("connection", (socket) => {
        const from = { address: socket.remoteAddress ?? "0.0.0.0", port: socket.remotePort ?? 0 };
        accept((events) => hostTcp(socket, events), from);
      });
      return new Promise((resolve, reject) => {
        server.once("error", reject);
        server.listen({ host: at.address, port: at.port }, () => {
          server.removeListener("error", reject);
          // What fails later is one connection that could not be accepted.
          server.on("error", () => {});
          resolve({
            endpoint: endpointOf(server.address() as AddressInfo),
            close: () => void server.close(),
          });
        });
      });
    },

    openUdp(received) {
      const socket = createSocket("udp4");
      listenDatagrams(socket, received);
      return hostUdp(socket);
    },

    listenUdp(at, received) {
      const socket = createSocket("udp4");
      return new Promise<HostUdp & HostListener>((resolve, reject) => {
        socket.once("error", reject);
        socket.bind(at.port, at.address, () => {
          socket.removeListener("error", reject);
          listenDatagrams(socket, received);
          resolve({ ...hostUdp(socket), endpoint: endpointOf(socket.address()) });
        });
      });
    },

    nameServers() {
      return getServers().filter((server) => isIPv4(server));
    },
  };
}

function hostTcp(socket: Socket, events: TcpEvents): HostTcp {
  let code: string | undefined;
  let reset = false;
  socket.on("data", (bytes) => events.data(typeof bytes === "string" ? Buffer.from(bytes) : bytes));
  socket.on("end", () => events.ended());
  socket.on("drain", () => events.drained());
  socket.on("error", (error: NodeJS.ErrnoException) => {
    code = error.code ?? "EIO";
  });
  socket.on("close", () => {
    if (!reset) events.closed(code);
  });
  return {
    get bufferedBytes() {
      return socket.writableLength;
    },
    write: (bytes) => void socket.write(bytes),
    end: () => void socket.end(),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    reset: () => {
      reset = true;
      if (socket.connecting) socket.destroy();
      else socket.resetAndDestroy();
    },
  };
}

function listenDatagrams(
  socket: DatagramSocket,
  received: (bytes: Uint8Array, from: Endpoint) => void,
): void {
  socket.on("message", (bytes: Buffer, from: RemoteInfo) =>
    received(bytes, { address: from.address, port: from.port }),
  );
  // An ICMP answer to a datagram: UDP promises nothing.
  socket.on("error", () => {});
}

/** Bytes of datagrams that may wait for a host that does not get them out; more are dropped, as on a busy wire. */
const WAITING_BYTES = 256 * 1024;

function hostUdp(socket: DatagramSocket): HostUdp {
  let open = true;
  let waiting = 0;
  return {
    send: (bytes, to) => {
      if (!open || waiting > WAITING_BYTES) return;
      waiting += bytes.length;
      socket.send(bytes, to.port, to.address, () => (waiting -= bytes.length));
    },
    close: () => {
      if (open) socket.close();
      open = false;
    },
  };
}

function endpointOf(address: AddressInfo): Endpoint {
  return { address: address.address, port: address.port };
}
