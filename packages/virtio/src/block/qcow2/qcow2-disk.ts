import { virtioError } from "../../errors.ts";
import type { BlockBackend, HostFile } from "../backend.ts";
import { Exclusive } from "../exclusive.ts";
import { HEADER_BYTES, HeaderOffset, badImage, formatHeader, parseHeader } from "./header.ts";
import type { Qcow2Header } from "./header.ts";
import { L2Tables } from "./l2-tables.ts";
import type { Mapping } from "./l2-tables.ts";
import { Refcounts } from "./refcounts.ts";

/** Expands one compressed cluster: raw deflate, to exactly `bytes`, ignoring what follows its end. */
export type Inflate = (compressed: Uint8Array, bytes: number) => Promise<Uint8Array>;

/** How an image is opened. */
export interface Qcow2OpenOptions {
  readonly readOnly?: boolean;
  /** What is seen where the image has nothing; closed with it. Names inside images are never followed. */
  readonly backing?: BlockBackend;
  /** Default: the platform's `DecompressionStream`. */
  readonly inflate?: Inflate;
}

/** How an image is made. */
export interface Qcow2CreateOptions {
  /** Bytes, a multiple of 512. */
  readonly capacity: number;
  /** 9 to 21; default 16, clusters of 64 KiB. */
  readonly clusterBits?: number;
  /** Written into the header for other programs; not used here. */
  readonly backingName?: string;
}

const NAME_BYTES = 1024 + 1024;
const MOST_CLUSTERS_AT_ONCE = 64;

interface Run {
  readonly mapping: Mapping;
  /** Offset in the request, and length in bytes. */
  readonly at: number;
  length: number;
}

/**
 * A qcow2 image of version 2 or 3 (QEMU docs/interop/qcow2.txt): reads all of it but encryption, zstd, external
 * data and extended L2 entries; writes images without internal snapshots. What `flush` made durable is
 * consistent whenever the process or the host dies; clusters may leak then, which `qemu-img check -r leaks`
 * gives back.
 */
export class Qcow2Disk implements BlockBackend {
  readonly capacity: number;
  readonly readOnly: boolean;
  readonly #file: HostFile;
  readonly #header: Qcow2Header;
  readonly #clusterBytes: number;
  readonly #backing: BlockBackend | undefined;
  readonly #inflate: Inflate;
  readonly #refcounts: Refcounts;
  readonly #tables: L2Tables;
  /** Changes of the tables, one after another. */
  readonly #changes = new Exclusive();
  /** Data that mappings on disk still refer to: given back when the mappings are written. */
  #released: { readonly offset: number; readonly length: number }[] = [];

  private constructor(
    file: HostFile,
    header: Qcow2Header,
    parts: { refcounts: Refcounts; tables: L2Tables },
    options: Qcow2OpenOptions,
  ) {
    this.#file = file;
    this.#header = header;
    this.#clusterBytes = 2 ** header.clusterBits;
    this.capacity = header.capacity;
    this.readOnly = options.readOnly === true || file.readOnly;
    this.#backing = options.backing;
    this.#inflate = options.inflate ?? platformInflate;
    this.#refcounts = parts.refcounts;
    this.#tables = parts.tables;
  }

  /**
   * Opens an image; it closes the file and the backing disk.
   * @throws QZ_VIRTIO_IMAGE for one that is damaged, hostile or of an unknown kind, QZ_VIRTIO_IMAGE_BACKING when it
   * names a backing file and none is given.
   */
  static async open(file: HostFile, options: Qcow2OpenOptions = {}): Promise<Qcow2Disk> {
    const fileBytes = await file.size();
    const start = new Uint8Array(HEADER_BYTES + NAME_BYTES);
    await file.read(0, start);
    const header = parseHeader(start, fileBytes);
    if (header.backing !== undefined && options.backing === undefined)
      throw virtioError("QZ_VIRTIO_IMAGE_BACKING", { backing: header.backing });
    const readOnly = options.readOnly === true || file.readOnly;
    if (!readOnly) {
      if (header.snapshots > 0) throw badImage("it holds snapshots: open it for reading only");
      if (header.dirty || header.corrupt)
        throw badImage("it was not closed properly: repair it with qemu-img check -r all");
    }
    const refcounts = await Refcounts.open(file, header, fileBytes);
    const tables = await L2Tables.open(file, header, () => refcounts.fileBytes);
    // Extensions that describe the contents (bitmaps) would be wrong after a write.
    if (!readOnly && header.version === 3)
      await file.write(HeaderOffset.Autoclear, new Uint8Array(8));
    return new Qcow2Disk(file, header, { refcounts, tables }, options);
  }

  /** Writes an empty image of version 3 into a file and opens it. @throws QZ_VIRTIO_OPTIONS */
  static async create(
    file: HostFile,
    create: Qcow2CreateOptions,
    options: Qcow2OpenOptions = {},
  ): Promise<Qcow2Disk> {
    const { capacity, clusterBits = 16, backingName } = create;
    const possible = Number.isSafeInteger(capacity) && capacity > 0 && capacity % 512 === 0;
    if (!possible || clusterBits < 9 || clusterBits > 21) {
      throw virtioError("QZ_VIRTIO_OPTIONS", {
        option: "a qcow2 image",
        value: `${capacity} bytes in clusters of 2^${clusterBits}`,
        reason: "give a multiple of 512 and 9 to 21",
      });
    }
    const clusterBytes = 2 ** clusterBits;
    const l1Entries = Math.ceil(capacity / (clusterBytes * (clusterBytes / 8)));
    const l1Clusters = Math.ceil((l1Entries * 8) / clusterBytes);
    // The header, the refcount table, and the L1 table; refcount blocks come as `Refcounts` needs them.
    const header = {
      clusterBits,
      capacity,
      l1Entries,
      l1Offset: 2 * clusterBytes,
      refcountTableOffset: clusterBytes,
      refcountTableClusters: 1,
      refcountOrder: 4,
      backing: backingName,
    };
    await file.resize(0);
    await file.write(0, formatHeader(header));
    await file.resize(clusterBytes);
    const whole = { ...header, version: 3 as const, snapshots: 0, dirty: false, corrupt: false };
    await file.resize((2 + l1Clusters) * clusterBytes);
    const counted = await Refcounts.open(file, whole, 0);
    await counted.allocate(2 + l1Clusters);
    await file.sync();
    return Qcow2Disk.open(file, options);
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    const runs = await this.#runs(offset, target.length);
    await Promise.all(
      runs.map(async ({ mapping, at, length }) => {
        const part = target.subarray(at, at + length);
        await this.#readMapped(mapping, offset + at, part);
      }),
    );
  }

  async write(offset: number, source: Uint8Array): Promise<void> {
    const runs = await this.#runs(offset, source.length);
    await Promise.all(
      runs.map(({ mapping, at, length }) => {
        const part = source.subarray(at, at + length);
        if (mapping.kind === "data" && mapping.own)
          return this.#file.write(mapping.offset + this.#inCluster(offset + at), part);
        return this.#changes.run(() => this.#writeNew(offset + at, part));
      }),
    );
  }

  flush(): Promise<void> {
    return this.#changes.run(() => this.#flush());
  }

  discard(offset: number, length: number): Promise<void> {
    // Version 2 cannot say "zeroes", and giving up a cluster would show the backing disk again.
    const kind = this.#header.version === 3 ? "zero" : "absent";
    if (kind === "absent" && this.#backing) return Promise.resolve();
    const first = Math.ceil(offset / this.#clusterBytes);
    const end = Math.floor((offset + length) / this.#clusterBytes);
    return this.#changes.run(async () => {
      for (let cluster = first; cluster < end; cluster++) await this.#unmap(cluster, kind, true);
    });
  }

  async writeZeroes(offset: number, length: number, unmap: boolean): Promise<void> {
    const end = offset + length;
    const able = this.#header.version === 3;
    const whole = Math.min(end, Math.ceil(offset / this.#clusterBytes) * this.#clusterBytes);
    // The disk's last cluster may be short: zeroes up to the capacity fill it.
    const atEnd = end === this.capacity ? Math.ceil(end / this.#clusterBytes) : 0;
    const last = Math.max(Math.floor(end / this.#clusterBytes), atEnd) * this.#clusterBytes;
    // A range inside the short last cluster ends before any whole one begins.
    const wholeEnd = able && whole < end ? Math.max(whole, last) : whole;
    if (whole > offset) await this.write(offset, new Uint8Array(whole - offset));
    await this.#changes.run(async () => {
      for (let at = whole; at < wholeEnd; at += this.#clusterBytes)
        await this.#unmap(at / this.#clusterBytes, "zero", unmap);
    });
    for (let at = wholeEnd; at < end; at += this.#clusterBytes)
      await this.write(at, new Uint8Array(Math.min(this.#clusterBytes, end - at)));
  }

  async close(): Promise<void> {
    if (!this.readOnly) await this.flush();
    await Promise.all([this.#file.close(), this.#backing?.close()]);
  }

  #inCluster(offset: number): number {
    return offset % this.#clusterBytes;
  }

  /** Splits a range where its mapping stops being one piece of the file. */
  async #runs(offset: number, length: number): Promise<Run[]> {
    const runs: Run[] = [];
    for (let at = 0; at < length;) {
      const inCluster = this.#inCluster(offset + at);
      const part = Math.min(this.#clusterBytes - inCluster, length - at);
      const mapping = await this.#tables.mapping(Math.floor((offset + at) / this.#clusterBytes));
      const last = runs.at(-1);
      if (last && follows(last, mapping, this.#inCluster(offset + last.at))) last.length += part;
      else runs.push({ mapping, at, length: part });
      at += part;
    }
    return runs;
  }

  async #readMapped(mapping: Mapping, offset: number, target: Uint8Array): Promise<void> {
    switch (mapping.kind) {
      case "data":
        return this.#file.read(mapping.offset + this.#inCluster(offset), target);
      case "compressed": {
        const cluster = await this.#expand(mapping);
        target.set(
          cluster.subarray(this.#inCluster(offset), this.#inCluster(offset) + target.length),
        );
        return;
      }
      case "zero":
        target.fill(0);
        return;
      case "absent": {
        const backed = Math.max(
          0,
          Math.min(target.length, (this.#backing?.capacity ?? 0) - offset),
        );
        target.fill(0, backed);
        if (backed > 0) await this.#backing?.read(offset, target.subarray(0, backed));
      }
    }
  }

  async #expand(mapping: { offset: number; bytes: number }): Promise<Uint8Array> {
    const compressed = new Uint8Array(mapping.bytes);
    await this.#file.read(mapping.offset, compressed);
    let cluster: Uint8Array;
    try {
      cluster = await this.#inflate(compressed, this.#clusterBytes);
    } catch (cause) {
      throw virtioError(
        "QZ_VIRTIO_IMAGE",
        { reason: "a compressed cluster is damaged" },
        { cause },
      );
    }
    if (cluster.length !== this.#clusterBytes) throw badImage("a compressed cluster is too short");
    return cluster;
  }

  /** Writes where clusters may have to be allocated first; nothing else changes the tables meanwhile. */
  async #writeNew(offset: number, source: Uint8Array): Promise<void> {
    for (let done = 0; done < source.length;) {
      const at = offset + done;
      const cluster = Math.floor(at / this.#clusterBytes);
      const mapping = await this.#tables.mapping(cluster);
      const inCluster = this.#inCluster(at);
      if (mapping.kind === "data" && mapping.own) {
        const part = source.subarray(done, done + this.#clusterBytes - inCluster);
        await this.#file.write(mapping.offset + inCluster, part);
        done += part.length;
        continue;
      }
      const most = source.length - done;
      const count = await this.#newClusters(
        cluster,
        Math.ceil((inCluster + most) / this.#clusterBytes),
      );
      const part = source.subarray(done, done + count * this.#clusterBytes - inCluster);
      await this.#allocate(cluster, count, inCluster, part);
      done += part.length;
    }
  }

  /** How many clusters from this one are to be allocated, at most `most`. */
  async #newClusters(cluster: number, most: number): Promise<number> {
    let count = 1;
    for (; count < Math.min(most, MOST_CLUSTERS_AT_ONCE); count++) {
      const mapping = await this.#tables.mapping(cluster + count);
      if (mapping.kind === "data" && mapping.own) break;
    }
    return count;
  }

  /** Allocates clusters, fills them from `source` and around it from what was there, and maps them. */
  async #allocate(
    cluster: number,
    count: number,
    inCluster: number,
    source: Uint8Array,
  ): Promise<void> {
    const start = cluster * this.#clusterBytes;
    const length = count * this.#clusterBytes;
    let data = source;
    if (inCluster > 0 || source.length < length) {
      data = new Uint8Array(length);
      const tail = inCluster + source.length;
      if (inCluster > 0) await this.#readOld(start, data.subarray(0, inCluster));
      if (tail < length) await this.#readOld(start + tail, data.subarray(tail));
      data.set(source, inCluster);
    }
    const old: Mapping[] = [];
    for (let i = 0; i < count; i++) old.push(await this.#tables.mapping(cluster + i));
    const offset = await this.#refcounts.allocate(count);
    await this.#file.write(offset, data);
    for (let i = 0; i < count; i++) {
      await this.#needTable(cluster + i);
      await this.#tables.setData(cluster + i, offset + i * this.#clusterBytes);
    }
    for (const mapping of old) this.#release(mapping);
    if (this.#tables.full) await this.#flush();
  }

  /** Reads around a write, as far as the disk goes. */
  async #readOld(offset: number, target: Uint8Array): Promise<void> {
    const length = Math.max(0, Math.min(target.length, this.capacity - offset));
    if (length > 0) await this.read(offset, target.subarray(0, length));
  }

  async #unmap(cluster: number, kind: "absent" | "zero", release: boolean): Promise<void> {
    const mapping = await this.#tables.mapping(cluster);
    const reads = this.#backing ? "backing" : "zero";
    if (mapping.kind === kind || (mapping.kind === "absent" && reads === "zero")) return;
    if (!release && mapping.kind === "data" && mapping.own) {
      await this.#file.write(mapping.offset, new Uint8Array(this.#clusterBytes));
      return;
    }
    await this.#needTable(cluster);
    await this.#tables.unset(cluster, kind);
    this.#release(mapping);
  }

  async #needTable(cluster: number): Promise<void> {
    if (!(await this.#tables.has(cluster)))
      this.#tables.add(cluster, await this.#refcounts.allocate(1));
  }

  #release(mapping: Mapping): void {
    if (mapping.kind === "data")
      this.#released.push({ offset: mapping.offset, length: this.#clusterBytes });
    else if (mapping.kind === "compressed")
      this.#released.push({ offset: mapping.offset, length: mapping.bytes });
  }

  async #flush(): Promise<void> {
    if (this.readOnly) return;
    await this.#file.sync();
    if (!this.#tables.dirty && this.#released.length === 0) return;
    await this.#tables.writeBack();
    await this.#file.sync();
    // Nothing on disk refers to them any more.
    for (const { offset, length } of this.#released.splice(0))
      await this.#refcounts.release(offset, length);
  }
}

/** Whether a mapping goes on where a run ends. */
function follows(run: Run, mapping: Mapping, inCluster: number): boolean {
  const { mapping: before } = run;
  if (mapping.kind === "compressed" || before.kind !== mapping.kind) return false;
  if (before.kind !== "data" || mapping.kind !== "data") return true;
  return before.own === mapping.own && mapping.offset === before.offset + inCluster + run.length;
}

async function platformInflate(compressed: Uint8Array, bytes: number): Promise<Uint8Array> {
  const stream = new DecompressionStream("deflate-raw");
  const writer = stream.writable.getWriter();
  // Sectors end after the data does; what is left over is refused only after all of it came out.
  const ignore = (): void => {};
  writer.write(new Uint8Array(compressed)).catch(ignore);
  writer.close().catch(ignore);
  const reader = stream.readable.getReader();
  const target = new Uint8Array(bytes);
  let done = 0;
  while (done < bytes) {
    const { value } = await reader.read();
    if (value === undefined) break;
    const part = value.subarray(0, bytes - done);
    target.set(part, done);
    done += part.length;
  }
  reader.cancel().catch(ignore);
  return target.subarray(0, done);
}
