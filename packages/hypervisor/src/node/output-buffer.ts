import type { Writable } from "node:stream";

const FLUSH_BYTES = 64 * 1024;
/**
 * What may wait in the stream before the guest has to. Far more than the stream itself asks for: a guest that waits for
 * its console does nothing else meanwhile.
 */
const MOST_BYTES = 1024 * 1024;

/** Gathers a guest's bytes, which come one by one, into writes of a stream; has the guest wait when too much waits in it. */
export class OutputBuffer {
  readonly #stream: Writable;
  readonly #resume: () => void;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #scheduled = false;
  #full = false;

  readonly #mostBytes: number;

  /**
   * @param resume called when the stream takes bytes again after `write` returned false.
   * @param mostBytes how many may wait in the stream.
   */
  constructor(stream: Writable, resume: () => void, mostBytes = MOST_BYTES) {
    this.#stream = stream;
    this.#resume = resume;
    this.#mostBytes = mostBytes;
  }

  /** Takes the bytes; false asks for no more until `resume`. */
  write(bytes: Uint8Array): boolean {
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
    if (this.#pendingBytes >= FLUSH_BYTES) this.flush();
    else if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => this.flush());
    }
    return !this.#full;
  }

  flush(): void {
    this.#scheduled = false;
    if (this.#pendingBytes === 0 || this.#full) return;
    const bytes = Buffer.concat(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
    if (this.#stream.destroyed || this.#stream.write(bytes)) return;
    if (this.#stream.writableLength < this.#mostBytes) return;
    this.#full = true;
    this.#stream.once("drain", () => {
      this.#full = false;
      this.flush();
      if (!this.#full) this.#resume();
    });
  }

  /** Resolves when everything has left this process. */
  async end(): Promise<void> {
    this.#full = false;
    this.flush();
    if (this.#stream.destroyed) return;
    await new Promise<void>((resolve) => this.#stream.write("", () => resolve()));
  }
}
