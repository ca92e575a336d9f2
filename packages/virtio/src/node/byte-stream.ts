import { connect } from "node:net";
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
    socket.once("connect", () => {
      socket.on("error", () => {});
      resolve({
        write: (bytes) => socket.write(bytes),
        listen: (events) => {
          socket.on("data", (bytes: Buffer) => events.data(bytes));
          socket.on("drain", () => events.drain());
          socket.on("close", () => events.close());
        },
        close: () => void socket.destroy(),
      });
    });
  });
}
