import { createSocket } from "node:dgram";
import { createServer, type AddressInfo } from "node:net";
import { serverErrors } from "../errors.ts";

/** Refuses what no port of this computer can be forwarded from. */
export function checkPort(protocol: string, address: string): void {
  if (address !== "127.0.0.1") {
    const what = `forwarding from ${address}`;
    const instead = "forward from 127.0.0.1 and put a proxy before it";
    throw serverErrors("QZ_SERVER_UNSUPPORTED", { what, instead });
  }
  if (protocol !== "tcp" && protocol !== "udp") {
    throw serverErrors("QZ_SERVER_UNSUPPORTED", { what: protocol, instead: "forward tcp or udp" });
  }
}

/** A port of the loopback that nobody listens on now. */
export const freePort = (): Promise<number> => listenedOn("tcp", "127.0.0.1", 0);

/** Throws `QZ_SERVER_PORT_TAKEN` where another program has a port that is to be forwarded. */
export async function checkPortsFree(
  ports: readonly { host: number; protocol: "tcp" | "udp"; address: string }[],
): Promise<void> {
  for (const { host, protocol, address } of ports) {
    await listenedOn(protocol, address, host).catch((cause: NodeJS.ErrnoException) => {
      const problem = cause.code === "EADDRINUSE" ? "another program has it" : cause.message;
      throw serverErrors(
        "QZ_SERVER_PORT_TAKEN",
        { port: `${host}/${protocol}`, problem },
        { cause },
      );
    });
  }
}

/** Listens for a moment; gives the port. */
function listenedOn(protocol: "tcp" | "udp", address: string, wanted: number): Promise<number> {
  return new Promise((resolve, reject) => {
    if (protocol === "udp") {
      const socket = createSocket("udp4");
      socket.once("error", reject);
      socket.bind({ port: wanted, address, exclusive: true }, () => {
        const { port } = socket.address();
        socket.close(() => resolve(port));
      });
      return;
    }
    const server = createServer();
    server.once("error", reject);
    server.listen({ port: wanted, host: address, exclusive: true }, () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
