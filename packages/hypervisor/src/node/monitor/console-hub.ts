import type { Socket } from "node:net";

/** What a client that attaches can still see. */
const SCROLL_BACK_BYTES = 256 * 1024;
/** Bytes given to a client's socket at once; the rest waits in the scroll-back. */
const PIECE_BYTES = 64 * 1024;
/** What clients typed and the guest has not read. */
const MAX_TYPED_BYTES = 64 * 1024;

interface Viewer {
  readonly socket: Socket;
  /** How many of the console's bytes it has been given or has missed. */
  position: number;
  waiting: boolean;
}

/**
 * A guest's console for several clients. It keeps the last bytes; a client that reads too slowly for the guest is
 * given what is kept when it goes on, and misses the rest: no client can hold up the guest or another client, and
 * nobody's memory grows.
 */
export class ConsoleHub {
  readonly #ring = new Uint8Array(SCROLL_BACK_BYTES);
  readonly #viewers = new Set<Viewer>();
  readonly #type: (bytes: Uint8Array) => Promise<void>;
  #written = 0;
  #typed = 0;
  #scheduled = false;
  /** When a client last typed, or came or went. */
  lastUseMs = performance.now();

  /** @param type gives the guest what a client typed; resolves when it has taken it. */
  constructor(type: (bytes: Uint8Array) => Promise<void>) {
    this.#type = type;
  }

  /** Bytes the guest wrote so far. */
  get written(): number {
    return this.#written;
  }

  get viewers(): number {
    return this.#viewers.size;
  }

  /** What the guest wrote. */
  output(bytes: Uint8Array): void {
    for (const part of pieces(bytes, SCROLL_BACK_BYTES)) {
      const at = this.#written % SCROLL_BACK_BYTES;
      const first = part.subarray(0, SCROLL_BACK_BYTES - at);
      this.#ring.set(first, at);
      this.#ring.set(part.subarray(first.length), 0);
      this.#written += part.length;
    }
    // The guest writes byte by byte.
    if (this.#scheduled || this.#viewers.size === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      for (const viewer of this.#viewers) this.#show(viewer);
    });
  }

  /** Shows a client the last bytes and all that comes. */
  attach(
    socket: Socket,
    options: { readonly scrollBackBytes: number; readonly input: boolean },
  ): void {
    const kept = Math.min(this.#written, SCROLL_BACK_BYTES, options.scrollBackBytes);
    const viewer: Viewer = { socket, position: this.#written - kept, waiting: false };
    this.#viewers.add(viewer);
    this.lastUseMs = performance.now();
    socket.on("data", (chunk: Uint8Array) => {
      this.lastUseMs = performance.now();
      if (options.input) this.#typedBy(socket, chunk);
    });
    socket.on("close", () => {
      this.#viewers.delete(viewer);
      this.lastUseMs = performance.now();
    });
    this.#show(viewer);
    socket.resume();
  }

  #typedBy(socket: Socket, chunk: Uint8Array): void {
    this.#typed += chunk.length;
    const wait = this.#typed > MAX_TYPED_BYTES;
    if (wait) socket.pause();
    const taken = (): void => {
      this.#typed -= chunk.length;
      if (wait) socket.resume();
    };
    void this.#type(chunk).then(taken);
  }

  #show(viewer: Viewer): void {
    const { socket } = viewer;
    while (!viewer.waiting && viewer.position < this.#written && !socket.destroyed) {
      const oldest = this.#written - SCROLL_BACK_BYTES;
      if (viewer.position < oldest) {
        const missed = oldest - viewer.position;
        socket.write(`\r\n[queztl: ${missed} bytes were not shown]\r\n`);
        viewer.position = oldest;
      }
      const from = viewer.position % SCROLL_BACK_BYTES;
      const length = Math.min(
        this.#written - viewer.position,
        SCROLL_BACK_BYTES - from,
        PIECE_BYTES,
      );
      viewer.position += length;
      if (socket.write(this.#ring.slice(from, from + length))) continue;
      viewer.waiting = true;
      socket.once("drain", () => {
        viewer.waiting = false;
        this.#show(viewer);
      });
    }
  }
}

function* pieces(bytes: Uint8Array, length: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}
