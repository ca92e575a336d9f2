/** A growing byte buffer with WebAssembly's variable-length integers (WebAssembly core 2.0, 5.2.2). */
export class ByteSink {
  /** Code of a module with a second memory, of 64-bit addresses. */
  readonly wide: boolean;
  #bytes = new Uint8Array(256);
  #length = 0;

  constructor(wide = false) {
    this.wide = wide;
  }

  get length(): number {
    return this.#length;
  }

  byte(value: number): void {
    if (this.#length === this.#bytes.length) this.#grow(1);
    this.#bytes[this.#length++] = value;
  }

  u32(value: number): void {
    let rest = value >>> 0;
    while (rest >= 0x80) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    this.byte(rest);
  }

  s32(value: number): void {
    let rest = value | 0;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      if ((rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)) {
        this.byte(low);
        return;
      }
      this.byte(low | 0x80);
    }
  }

  s64(value: bigint): void {
    let rest = BigInt.asIntN(64, value);
    if (rest >= -0x80000000n && rest <= 0x7fffffffn) {
      this.s32(Number(rest));
      return;
    }
    for (;;) {
      const low = Number(rest & 0x7fn);
      rest >>= 7n;
      if ((rest === 0n && (low & 0x40) === 0) || (rest === -1n && (low & 0x40) !== 0)) {
        this.byte(low);
        return;
      }
      this.byte(low | 0x80);
    }
  }

  f64(value: number): void {
    const bytes = new Uint8Array(Float64Array.of(value).buffer);
    for (const byte of bytes) this.byte(byte);
  }

  f32(value: number): void {
    const bytes = new Uint8Array(Float32Array.of(value).buffer);
    for (const byte of bytes) this.byte(byte);
  }

  name(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.u32(bytes.length);
    for (const byte of bytes) this.byte(byte);
  }

  append(other: ByteSink): void {
    if (this.#length + other.#length > this.#bytes.length) this.#grow(other.#length);
    this.#bytes.set(other.#bytes.subarray(0, other.#length), this.#length);
    this.#length += other.#length;
  }

  toBytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  #grow(need: number): void {
    const bytes = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + need));
    bytes.set(this.#bytes);
    this.#bytes = bytes;
  }
}
