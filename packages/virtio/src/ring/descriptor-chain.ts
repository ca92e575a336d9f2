import type { GuestMemory } from "@queztl/memory";
import { virtioError } from "../errors.ts";

/** One descriptor's buffer: its offset in the WebAssembly memory and its length, in bytes. */
export interface Segment {
  readonly offset: number;
  readonly length: number;
}

/**
 * A request of the driver: buffers to read, then buffers to write (virtio 1.2, 2.6.4). Its descriptors were
 * read once and every buffer lies in RAM. After the device is reset, reads give zeroes and writes go nowhere,
 * so that host I/O which ends late cannot touch a guest that took its memory back.
 */
export class DescriptorChain {
  /** Index of the first descriptor; what the used ring names the chain by. */
  readonly head: number;
  /** Total bytes of the buffers the device may read, and of those it may write. */
  readonly readableBytes: number;
  readonly writableBytes: number;

  readonly #memory: GuestMemory;
  readonly #queue: { readonly index: number; readonly closed: boolean };
  readonly #readable: readonly Segment[];
  readonly #writable: readonly Segment[];

  constructor(
    memory: GuestMemory,
    queue: { readonly index: number; readonly closed: boolean },
    head: number,
    buffers: { readable: readonly Segment[]; writable: readonly Segment[] },
  ) {
    this.#memory = memory;
    this.#queue = queue;
    this.head = head;
    this.#readable = buffers.readable;
    this.#writable = buffers.writable;
    this.readableBytes = totalOf(buffers.readable);
    this.writableBytes = totalOf(buffers.writable);
  }

  /**
   * Copies the readable bytes from `at` into the whole of `target`.
   * @throws QZ_VIRTIO_CHAIN when the chain holds fewer.
   */
  read(at: number, target: Uint8Array): void {
    if (at + target.length > this.readableBytes)
      throw this.#short("readable", at + target.length, this.readableBytes);
    if (this.#queue.closed) return;
    const { bytes } = this.#memory;
    let done = 0;
    for (const segment of this.#readable) {
      if (done === target.length) return;
      if (at >= segment.length) {
        at -= segment.length;
        continue;
      }
      const length = Math.min(segment.length - at, target.length - done);
      const from = segment.offset + at;
      target.set(bytes.subarray(from, from + length), done);
      done += length;
      at = 0;
    }
  }

  /** A copy of `length` readable bytes from `at`. @throws QZ_VIRTIO_CHAIN when the chain holds fewer. */
  readBytes(at: number, length: number): Uint8Array<ArrayBuffer> {
    if (at + length > this.readableBytes)
      throw this.#short("readable", at + length, this.readableBytes);
    const target = new Uint8Array(length);
    this.read(at, target);
    return target;
  }

  /**
   * Copies `source` into the writable bytes from `at`; pages that are ROM keep their contents.
   * @throws QZ_VIRTIO_CHAIN when the chain holds fewer.
   */
  write(at: number, source: Uint8Array): void {
    this.#eachWritable(at, source.length, (offset, done, length) =>
      this.#memory.bytes.set(source.subarray(done, done + length), offset),
    );
  }

  /** Fills `length` writable bytes from `at` with zeroes. @throws QZ_VIRTIO_CHAIN when the chain holds fewer. */
  writeZeroes(at: number, length: number): void {
    this.#eachWritable(at, length, (offset, _done, part) =>
      this.#memory.bytes.fill(0, offset, offset + part),
    );
  }

  /**
   * The writable bytes from `at` as views of guest memory, neighbours joined, for host I/O that goes straight there; call
   * `wrote` when it ends. Undefined where a page is ROM, or the device was reset.
   * @throws QZ_VIRTIO_CHAIN when the chain holds fewer.
   */
  writableViews(at: number, length: number): Uint8Array<SharedArrayBuffer>[] | undefined {
    const parts: Segment[] = [];
    this.#eachWritable(at, length, (offset, _done, part) => parts.push({ offset, length: part }));
    if (totalOf(parts) !== length) return undefined;
    return this.#views(parts);
  }

  /** The host wrote into those views: tells again whoever looks at what is written, also after a reset. */
  wrote(at: number, length: number): void {
    this.#eachWritable(at, length, () => undefined, true);
  }

  /** The readable bytes from `at` as such views. @throws QZ_VIRTIO_CHAIN when the chain holds fewer. */
  readableViews(at: number, length: number): Uint8Array<SharedArrayBuffer>[] | undefined {
    if (at + length > this.readableBytes)
      throw this.#short("readable", at + length, this.readableBytes);
    if (this.#queue.closed) return undefined;
    const parts: Segment[] = [];
    for (const segment of this.#readable) {
      if (length === 0) break;
      if (at >= segment.length) {
        at -= segment.length;
        continue;
      }
      const part = Math.min(segment.length - at, length);
      parts.push({ offset: segment.offset + at, length: part });
      length -= part;
      at = 0;
    }
    return this.#views(parts);
  }

  /** The guest-physical ranges of the writable buffers, in order (free page reporting names pages by them). */
  writableRanges(): { address: number; length: number }[] {
    return this.#writable.map(({ offset, length }) => ({
      address: this.#memory.addressOf(offset),
      length,
    }));
  }

  #views(parts: readonly Segment[]): Uint8Array<SharedArrayBuffer>[] {
    const views: Uint8Array<SharedArrayBuffer>[] = [];
    const { bytes } = this.#memory;
    for (let i = 0; i < parts.length;) {
      const { offset: start } = parts[i] as Segment;
      let end = start;
      for (; parts[i]?.offset === end; i++) end += (parts[i] as Segment).length;
      views.push(bytes.subarray(start, end));
    }
    return views;
  }

  #eachWritable(
    at: number,
    total: number,
    copy: (offset: number, done: number, length: number) => void,
    late = false,
  ): void {
    if (at + total > this.writableBytes)
      throw this.#short("writable", at + total, this.writableBytes);
    if (this.#queue.closed && !late) return;
    let done = 0;
    for (const segment of this.#writable) {
      if (done === total) return;
      if (at >= segment.length) {
        at -= segment.length;
        continue;
      }
      const length = Math.min(segment.length - at, total - done);
      const offset = segment.offset + at;
      if (this.#memory.beforeWrite(offset, length)) copy(offset, done, length);
      done += length;
      at = 0;
    }
  }

  #short(kind: string, needed: number, have: number): Error {
    return virtioError("QZ_VIRTIO_CHAIN", {
      queue: this.#queue.index,
      reason: `it has ${have} ${kind} bytes where ${needed} are needed`,
    });
  }
}

function totalOf(segments: readonly Segment[]): number {
  let total = 0;
  for (const segment of segments) total += segment.length;
  return total;
}
