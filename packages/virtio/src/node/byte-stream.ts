import { connect, createServer } from "node:net";
import type { Socket } from "node:net";
import type { ByteStream } from "../net/framed-stream.ts";
import { virtioError } from "../errors.ts";

/**
 * Connects to a Unix socket or a TCP port where frames are exchanged (passt, QEMU's `-netdev stream`), for
 * `FramedStreamNetwork`. @throws QZ_VIRTIO_CLOSED when nothing answers there.
 */
export function connectStream(
  to: { readonly path: string } | { readonly host: string; readonly port: number },
): Promise<ByteStream> {
  return new Promise((resolve, reject) => {
    const socket = connect(to);
    socket.once("error", (cause) => {
      const what = "path" in to ? to.path : `${to.host}:${to.port}`;
      reject(virtioError("QZ_VIRTIO_CLOSED", { what }, { cause }));
    });
    socket.once("connect", () => resolve(streamOf(socket)));
  });
}

/**
 * Listens at a Unix socket, which no other process may be listening at, and hands over each stream that comes;
 * resolves with how to stop, which ends the streams too.
 * @throws QZ_VIRTIO_NET_LISTEN
 */
export function listenStreams(
  path: string,
  accept: (stream: ByteStream) => void,
): Promise<() => void> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    accept(streamOf(socket));
  });
  return new Promise((resolve, reject) => {
    server.once("error", (cause) => {
      reject(virtioError("QZ_VIRTIO_NET_LISTEN", { place: `socket ${path}` }, { cause }));
    });
    server.listen(path, () => {
      resolve(() => {
        server.close();
        for (const socket of sockets) socket.destroy();
      });
    });
  });
}

function streamOf(socket: Socket): ByteStream {
  socket.on("error", () => {});
  return {
    write: (bytes) => socket.write(bytes),
    listen: (events) => {
      socket.on("data", (bytes: Buffer) => events.data(bytes));
      socket.on("drain", () => events.drain());
      socket.on("close", () => events.close());
    },
    close: () => void socket.destroy(),
  };
}
