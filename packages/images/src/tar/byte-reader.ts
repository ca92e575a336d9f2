import { badArchive } from "./tar-header.ts";

/** Reads a stream of chunks by byte counts. */
export class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #chunk: Uint8Array = new Uint8Array(0);

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.#source = stream[Symbol.asyncIterator]();
  }

  /** The next bytes, at most `most` and at least one; undefined at the end. They alias the stream's chunk. */
  async some(most: number): Promise<Uint8Array | undefined> {
    while (this.#chunk.length === 0) {
      const { done, value } = await this.#source.next();
      if (done) return undefined;
      this.#chunk = value;
    }
    const bytes = this.#chunk.subarray(0, most);
    this.#chunk = this.#chunk.subarray(bytes.length);
    return bytes;
  }

  /** Exactly so many bytes; undefined where the stream ends before the first. */
  async exactly(length: number): Promise<Uint8Array | undefined> {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length;) {
      const some = await this.some(length - at);
      if (!some) {
        if (at === 0) return undefined;
        throw badArchive("it is cut");
      }
      bytes.set(some, at);
      at += some.length;
    }
    return bytes;
  }

  /** Reads on without looking. */
  async skip(length: number): Promise<void> {
    for (let left = length; left > 0;) {
      const some = await this.some(left);
      if (!some) throw badArchive("it is cut");
      left -= some.length;
    }
  }

  /** Ends the stream early, so that its source can be released. */
  async close(): Promise<void> {
    await this.#source.return?.();
  }
}
