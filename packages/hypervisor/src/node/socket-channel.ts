import type { Socket } from "node:net";
import type { ByteChannel } from "../agent/channel.ts";

/** The agent's port behind a stream socket, such as a monitor's, or QEMU's for a virtio-serial port. */
export function socketChannel(socket: Socket): ByteChannel {
  // Its end comes through onClose.
  socket.on("error", () => undefined);
  return {
    write: (bytes) =>
      new Promise((resolve, reject) => {
        socket.write(bytes, (error) => (error ? reject(error) : resolve()));
      }),
    onData: (listener) => void socket.removeAllListeners("data").on("data", listener).resume(),
    onClose: (listener) => void socket.on("close", () => listener(socket.errored ?? undefined)),
    close: () => void socket.destroy(),
  };
}
