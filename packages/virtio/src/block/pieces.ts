/** Requests of less than this get a buffer of their own. */
const SMALL_BYTES = 32 * 1024;

/**
 * Buffers that requests move through. Large ones are kept, because to make and collect one for each request costs the
 * host more than the request itself.
 */
export class Pieces {
  readonly #mostBytes: number;
  #freeBytes = 0;
  /** By their length, a power of two. */
  readonly #free = new Map<number, Uint8Array[]>();

  /** @param mostBytes how much is kept. */
  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /** How long a buffer for so many bytes is. */
  lengthFor(bytes: number): number {
    return bytes < SMALL_BYTES ? bytes : 2 ** Math.ceil(Math.log2(bytes));
  }

  /** A buffer of `lengthFor(bytes)`; what it holds is not defined. */
  take(bytes: number): Uint8Array {
    const length = this.lengthFor(bytes);
    const kept = this.#free.get(length)?.pop();
    if (kept === undefined) return new Uint8Array(length);
    this.#freeBytes -= length;
    return kept;
  }

  /** Takes a buffer back to which nothing is written any more. */
  give(piece: Uint8Array): void {
    const { length } = piece;
    if (length < SMALL_BYTES || this.#freeBytes + length > this.#mostBytes) return;
    this.#freeBytes += length;
    const free = this.#free.get(length);
    if (free) free.push(piece);
    else this.#free.set(length, [piece]);
  }
}
