import { bootError } from "./errors.ts";

/**
 * Little-endian reads of an untrusted file: what lies outside it is QZ_BOOT_TRUNCATED, naming `what`,
 * never a RangeError.
 */
export class ByteView {
  readonly bytes: Uint8Array;
  readonly what: string;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, what: string) {
    this.bytes = bytes;
    this.what = what;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get length(): number {
    return this.bytes.length;
  }

  u8(at: number): number {
    this.#need(at, 1);
    return this.#view.getUint8(at);
  }

  u16(at: number): number {
    this.#need(at, 2);
    return this.#view.getUint16(at, true);
  }

  u32(at: number): number {
    this.#need(at, 4);
    return this.#view.getUint32(at, true);
  }

  u64(at: number): bigint {
    this.#need(at, 8);
    return this.#view.getBigUint64(at, true);
  }

  /** A 64-bit field that must be an address or length a program can count with. @throws QZ_BOOT_MALFORMED above 2^53 */
  offset64(at: number): number {
    const value = this.u64(at);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw bootError("QZ_BOOT_MALFORMED", {
        what: this.what,
        reason: `a field says 0x${value.toString(16)}`,
      });
    }
    return Number(value);
  }

  /** The `length` bytes at `at`, aliasing the file. */
  slice(at: number, length: number): Uint8Array {
    this.#need(at, length);
    return this.bytes.subarray(at, at + length);
  }

  #need(at: number, length: number): void {
    const inside = at >= 0 && length >= 0 && at + length <= this.bytes.length;
    if (!inside) throw bootError("QZ_BOOT_TRUNCATED", { what: this.what });
  }
}
