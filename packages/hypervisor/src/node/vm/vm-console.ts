import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import type {
  ReadableStream as NodeReadable,
  WritableStream as NodeWritable,
} from "node:stream/web";

/** How the console is shown. */
export interface ConsoleOptions {
  /** Bytes from before that come first; default and most 256 KiB. */
  readonly scrollBackBytes?: number;
  /** Whether what is written is typed; default true. */
  readonly input?: boolean;
}

/** A client's view of a guest's console. Disposing of it closes it; the guest and other clients do not notice. */
export class VmConsole implements AsyncDisposable {
  /** What the guest writes; ends with the VM. A reader that is too slow for the guest misses what it did not read. */
  readonly output: ReadableStream<Uint8Array>;
  /** What is typed. */
  readonly input: WritableStream<Uint8Array>;
  readonly #socket: Socket;

  /** @param socket a connection that the monitor made the console of. */
  constructor(socket: Socket) {
    this.#socket = socket;
    const { readable, writable } = Duplex.toWeb(socket) as {
      readonly readable: NodeReadable<Uint8Array>;
      readonly writable: NodeWritable<Uint8Array>;
    };
    this.output = readable as ReadableStream<Uint8Array>;
    this.input = writable;
  }

  close(): void {
    this.#socket.destroy();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }
}
