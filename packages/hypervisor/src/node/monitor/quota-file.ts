import { readVector, writeVector } from "@queztl/virtio";
import type { HostFile } from "@queztl/virtio";
import { hypervisorError } from "../../errors.ts";

/** The unit of counting, which is that of overlays. */
const CLUSTER_BYTES = 4096;

/** What several files may take of the host's disk together. */
export class DiskQuota {
  /** Bytes; what is taken already stays. */
  limit: number;
  readonly #onReached: () => void;
  #used = 0;
  #told = false;

  /** @param onReached called the first time that a guest wants more. */
  constructor(limit: number, onReached: () => void) {
    this.limit = limit;
    this.#onReached = onReached;
  }

  get used(): number {
    return this.#used;
  }

  /** @throws QZ_HYPERVISOR_VM_LIMIT, with nothing taken */
  take(bytes: number): void {
    if (this.#used + bytes > this.limit) {
      if (!this.#told) this.#onReached();
      this.#told = true;
      throw hypervisorError("QZ_HYPERVISOR_VM_LIMIT", {
        what: "the bytes that the disks may hold",
        limit: this.limit,
      });
    }
    this.#used += bytes;
  }

  give(bytes: number): void {
    this.#used -= bytes;
  }
}

/** A sparse file of an overlay whose written clusters count; writes beyond the quota fail, as on a full disk. */
export class QuotaFile implements HostFile {
  readonly name: string;
  readonly readOnly = false;
  readonly #file: HostFile;
  readonly #quota: DiskQuota;
  readonly #held: Uint8Array;

  private constructor(file: HostFile, quota: DiskQuota, held: Uint8Array) {
    this.name = file.name;
    this.#file = file;
    this.#quota = quota;
    this.#held = held;
  }

  /** @param map the overlay's map of written clusters: what it holds counts, even beyond the quota. */
  static async open(file: HostFile, map: HostFile, quota: DiskQuota): Promise<QuotaFile> {
    const held = new Uint8Array(await map.size());
    await map.read(0, held);
    const clusters = held.reduce((sum, byte) => sum + bits(byte), 0);
    quota.give(-clusters * CLUSTER_BYTES);
    return new QuotaFile(file, quota, held);
  }

  size(): Promise<number> {
    return this.#file.size();
  }

  read(offset: number, target: Uint8Array): Promise<void> {
    return this.#file.read(offset, target);
  }

  readVector(offset: number, targets: readonly Uint8Array[]): Promise<void> {
    return readVector(this.#file, offset, targets);
  }

  readCached(offset: number, targets: readonly Uint8Array[]): boolean {
    return this.#file.readCached?.(offset, targets) === true;
  }

  async write(offset: number, source: Uint8Array): Promise<void> {
    this.#take(offset, source.length);
    await this.#file.write(offset, source);
  }

  async writeVector(offset: number, sources: readonly Uint8Array[]): Promise<void> {
    this.#take(
      offset,
      sources.reduce((sum, { length }) => sum + length, 0),
    );
    await writeVector(this.#file, offset, sources);
  }

  /** Counts what a write will take. @throws QZ_HYPERVISOR_VM_LIMIT */
  #take(offset: number, length: number): void {
    if (length === 0) return;
    const first = Math.floor(offset / CLUSTER_BYTES);
    const last = Math.floor((offset + length - 1) / CLUSTER_BYTES);
    let taken = 0;
    for (let cluster = first; cluster <= last; cluster++) if (!this.#holds(cluster)) taken++;
    if (taken > 0) this.#quota.take(taken * CLUSTER_BYTES);
    for (let cluster = first; cluster <= last; cluster++) this.#set(cluster, true);
  }

  sync(): Promise<void> {
    return this.#file.sync();
  }

  resize(size: number): Promise<void> {
    return this.#file.resize(size);
  }

  async punchHole(offset: number, length: number): Promise<boolean> {
    const done = await this.#file.punchHole(offset, length);
    if (!done) return false;
    const first = Math.ceil(offset / CLUSTER_BYTES);
    const end = Math.floor((offset + length) / CLUSTER_BYTES);
    for (let cluster = first; cluster < end; cluster++) {
      if (!this.#holds(cluster)) continue;
      this.#set(cluster, false);
      this.#quota.give(CLUSTER_BYTES);
    }
    return true;
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  #holds(cluster: number): boolean {
    return (((this.#held[cluster >>> 3] ?? 0) >>> (cluster & 7)) & 1) === 1;
  }

  #set(cluster: number, held: boolean): void {
    const byte = this.#held[cluster >>> 3] ?? 0;
    const bit = 1 << (cluster & 7);
    this.#held[cluster >>> 3] = held ? byte | bit : byte & ~bit;
  }
}

function bits(byte: number): number {
  let count = 0;
  for (let rest = byte; rest > 0; rest >>>= 1) count += rest & 1;
  return count;
}
