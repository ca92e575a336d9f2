/**
 * Cuts what a socket sends into lines, until one of them turns the rest into something else.
 */
export class LineReader {
  readonly #most: number;
  #held: Uint8Array[] = [];
  #heldBytes = 0;

  /** @param most the longest line, in bytes. */
  constructor(most: number) {
    this.#most = most;
  }

  /**
   * Gives each whole line to `take`, which returns whether it wants another.
   * @returns what is left when `take` wanted no more; undefined when it wants more than there is.
   * @throws RangeError for a line that is too long.
   */
  push(chunk: Uint8Array, take: (line: string) => boolean): Uint8Array | undefined {
    let rest = chunk;
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      if (this.#heldBytes + end > this.#most) throw tooLong(this.#most);
      const line = Buffer.concat([...this.#held, rest.subarray(0, end)]).toString("utf8");
      this.#held = [];
      this.#heldBytes = 0;
      rest = rest.subarray(end + 1);
      if (!take(line)) return rest;
    }
    if (rest.length === 0) return undefined;
    this.#heldBytes += rest.length;
    if (this.#heldBytes > this.#most) throw tooLong(this.#most);
    this.#held.push(rest.slice());
    return undefined;
  }
}

function tooLong(most: number): RangeError {
  return new RangeError(`a line of more than ${most} bytes`);
}
