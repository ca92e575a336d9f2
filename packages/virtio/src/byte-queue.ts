/** Bytes in the order they came, kept in the pieces they came in; reading does not remove them. */
export class ByteQueue {
  #pieces: Uint8Array[] = [];
  /** Bytes of the first piece that were dropped. */
  #skip = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#pieces.push(bytes);
    this.#length += bytes.length;
  }

  /** Copies bytes from `at` into the whole of `target`. */
  copy(at: number, target: Uint8Array): void {
    let from = at + this.#skip;
    let done = 0;
    for (const piece of this.#pieces) {
      if (done === target.length) return;
      if (from >= piece.length) {
        from -= piece.length;
        continue;
      }
      const part = piece.subarray(from, from + target.length - done);
      target.set(part, done);
      done += part.length;
      from = 0;
    }
  }

  /** Removes the first `count` bytes. */
  drop(count: number): void {
    this.#length -= count;
    this.#skip += count;
    let whole = 0;
    for (const piece of this.#pieces) {
      if (this.#skip < piece.length) break;
      this.#skip -= piece.length;
      whole++;
    }
    if (whole > 0) this.#pieces.splice(0, whole);
  }
}
