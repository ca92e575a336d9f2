import type { Writable } from "node:stream";

const FLUSH_BYTES = 16 * 1024;

/** Gathers a guest's bytes, which come one by one, into writes of a stream; has the guest wait when the stream is full. */
export class OutputBuffer {
  readonly #stream: Writable;
  readonly #resume: () => void;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #scheduled = false;
  #full = false;

  /** @param resume called when the stream takes bytes again after `write` returned false. */
  constructor(stream: Writable, resume: () => void) {
    this.#stream = stream;
    this.#resume = resume;
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
