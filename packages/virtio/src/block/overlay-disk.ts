import { virtioError } from "../errors.ts";
import { zeroFile } from "./backend.ts";
import type { BlockBackend, HostFile } from "./backend.ts";
import { Exclusive } from "./exclusive.ts";
import { bytesOf, joined, part, readVector, writeVector } from "./vector.ts";

/** Which clusters of an overlay differ from its base: bit `i` (lowest first) is cluster `i`. */
export interface DirtyMap {
  readonly clusterBytes: number;
  readonly bits: Uint8Array;
}

/** How an overlay is made. */
export interface OverlayOptions {
  /** What the guest sees where it wrote nothing; never written to, and closed with the overlay. */
  readonly base: BlockBackend;
  /** Where written clusters go, at the same offsets: a sparse file. */
  readonly file: HostFile;
  /** Where the dirty map is kept so that the overlay can be opened again; without it the overlay is for one run. */
  readonly map?: HostFile;
  /** The unit of copying, a power of two from 512; default 4096. */
  readonly clusterBytes?: number;
}

const ZERO_CHUNK = 1024 * 1024;

/**
 * A copy-on-write disk: reads fall through to the base until the guest writes. The map of written clusters
 * says what a backup or a migration has to copy. Durable: `flush` makes data durable before the map that
 * refers to it.
 */
export class OverlayDisk implements BlockBackend {
  readonly capacity: number;
  readonly readOnly = false;
  readonly #base: BlockBackend;
  readonly #file: HostFile;
  readonly #map: HostFile | undefined;
  readonly #clusterBytes: number;
  readonly #bits: Uint8Array;
  readonly #copying = new Exclusive();
  #unsavedFrom = Infinity;
  #unsavedTo = 0;

  private constructor(options: OverlayOptions, clusterBytes: number, bits: Uint8Array) {
    this.#base = options.base;
    this.#file = options.file;
    this.#map = options.map;
    this.#clusterBytes = clusterBytes;
    this.#bits = bits;
    this.capacity = options.base.capacity;
  }

  /** Opens an overlay, with the map it was closed with if there is one. @throws QZ_VIRTIO_OPTIONS */
  static async open(options: OverlayOptions): Promise<OverlayDisk> {
    const clusterBytes = options.clusterBytes ?? 4096;
    if (!(
      clusterBytes >= 512 &&
      clusterBytes <= 2 ** 24 &&
      Number.isInteger(Math.log2(clusterBytes))
    )) {
      throw virtioError("QZ_VIRTIO_OPTIONS", {
        option: "clusterBytes",
        value: clusterBytes,
        reason: "it must be a power of two from 512 to 16 MiB",
      });
    }
    const bits = new Uint8Array(Math.ceil(options.base.capacity / clusterBytes / 8));
    await options.map?.read(0, bits);
    return new OverlayDisk(options, clusterBytes, bits);
  }

  /** The clusters written so far, as a copy. */
  dirtyMap(): DirtyMap {
    return { clusterBytes: this.#clusterBytes, bits: this.#bits.slice() };
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    await Promise.all(
      this.#runs(offset, target.length).map(({ at, length, dirty }) => {
        const part = target.subarray(at, at + length);
        return (dirty ? this.#file : this.#base).read(offset + at, part);
      }),
    );
  }

  async readVector(offset: number, targets: readonly Uint8Array[]): Promise<void> {
    await Promise.all(
      this.#runs(offset, bytesOf(targets)).map(({ at, length, dirty }) =>
        readVector(dirty ? this.#file : this.#base, offset + at, part(targets, at, length)),
      ),
    );
  }

  readCached(offset: number, targets: readonly Uint8Array[]): boolean {
    return this.#runs(offset, bytesOf(targets)).every(({ at, length, dirty }) => {
      const store = dirty ? this.#file : this.#base;
      return store.readCached?.(offset + at, part(targets, at, length)) === true;
    });
  }

  /** Whole clusters go to the file as they are. */
  async writeVector(offset: number, sources: readonly Uint8Array[]): Promise<void> {
    const length = bytesOf(sources);
    const end = offset + length;
    const whole = (place: number): boolean =>
      place % this.#clusterBytes === 0 || place === this.capacity;
    if (!whole(offset) || !whole(end)) return this.write(offset, joined(sources));
    await writeVector(this.#file, offset, sources);
    this.#mark(offset, length);
  }

  async write(offset: number, source: Uint8Array): Promise<void> {
    const cluster = this.#clusterBytes;
    const end = offset + source.length;
    const whole = Math.min(Math.ceil(offset / cluster) * cluster, end);
    const tail = Math.max(whole, Math.floor(end / cluster) * cluster);
    // The disk's last cluster may be short: a write up to the capacity fills it.
    const wholeEnd = end === this.capacity ? end : tail;
    const parts: Promise<void>[] = [];
    if (whole > offset) parts.push(this.#writePart(offset, source.subarray(0, whole - offset)));
    if (wholeEnd > whole) {
      const middle = source.subarray(whole - offset, wholeEnd - offset);
      parts.push(this.#file.write(whole, middle).then(() => this.#mark(whole, middle.length)));
    }
    if (end > wholeEnd) parts.push(this.#writePart(wholeEnd, source.subarray(wholeEnd - offset)));
    await Promise.all(parts);
  }

  async flush(): Promise<void> {
    const from = this.#unsavedFrom;
    const to = this.#unsavedTo;
    const bits = from < to ? this.#bits.slice(from, to) : undefined;
    this.#unsavedFrom = Infinity;
    this.#unsavedTo = 0;
    try {
      await this.#file.sync();
      if (bits === undefined || this.#map === undefined) return;
      await this.#map.write(from, bits);
      await this.#map.sync();
    } catch (error) {
      if (bits) this.#unsaved(from, to);
      throw error;
    }
  }

  /** Gives space back where the overlay holds the clusters; the base is left alone. */
  async discard(offset: number, length: number): Promise<void> {
    for (const run of this.#runs(offset, length))
      if (run.dirty) await this.#file.punchHole(offset + run.at, run.length);
  }

  async writeZeroes(offset: number, length: number, unmap: boolean): Promise<void> {
    const cluster = this.#clusterBytes;
    const end = offset + length;
    const whole = Math.min(Math.ceil(offset / cluster) * cluster, end);
    const wholeEnd = Math.max(whole, Math.floor(end / cluster) * cluster);
    await this.#writePart(offset, new Uint8Array(whole - offset));
    for (let at = whole; at < wholeEnd; at += ZERO_CHUNK) {
      const part = Math.min(ZERO_CHUNK, wholeEnd - at);
      await zeroFile(this.#file, at, part, unmap);
      this.#mark(at, part);
    }
    await this.#writePart(wholeEnd, new Uint8Array(end - wholeEnd));
  }

  async close(): Promise<void> {
    await Promise.all([this.#file.close(), this.#map?.close(), this.#base.close()]);
  }

  /** Writes inside one cluster, filling the rest from the base the first time. */
  async #writePart(offset: number, source: Uint8Array): Promise<void> {
    if (source.length === 0) return;
    if (this.#dirty(offset)) return this.#file.write(offset, source);
    await this.#copying.run(async () => {
      if (this.#dirty(offset)) return this.#file.write(offset, source);
      const start = offset - (offset % this.#clusterBytes);
      const copy = new Uint8Array(Math.min(this.#clusterBytes, this.capacity - start));
      await this.#base.read(start, copy);
      copy.set(source, offset - start);
      await this.#file.write(start, copy);
      this.#mark(start, copy.length);
    });
  }

  #dirty(offset: number): boolean {
    const cluster = Math.floor(offset / this.#clusterBytes);
    return (((this.#bits[cluster >>> 3] ?? 0) >>> (cluster & 7)) & 1) === 1;
  }

  #mark(offset: number, length: number): void {
    const first = Math.floor(offset / this.#clusterBytes);
    const last = Math.floor((offset + length - 1) / this.#clusterBytes);
    for (let cluster = first; cluster <= last; cluster++) {
      const byte = cluster >>> 3;
      this.#bits[byte] = (this.#bits[byte] ?? 0) | (1 << (cluster & 7));
    }
    this.#unsaved(first >>> 3, (last >>> 3) + 1);
  }

  #unsaved(from: number, to: number): void {
    this.#unsavedFrom = Math.min(this.#unsavedFrom, from);
    this.#unsavedTo = Math.max(this.#unsavedTo, to);
  }

  /** Splits a range where it changes between written and not. */
  #runs(offset: number, length: number): { at: number; length: number; dirty: boolean }[] {
    const runs: { at: number; length: number; dirty: boolean }[] = [];
    for (let at = 0; at < length;) {
      const dirty = this.#dirty(offset + at);
      const part = Math.min(this.#clusterBytes - ((offset + at) % this.#clusterBytes), length - at);
      const last = runs.at(-1);
      if (last && last.dirty === dirty) last.length += part;
      else runs.push({ at, length: part, dirty });
      at += part;
    }
    return runs;
  }
}
