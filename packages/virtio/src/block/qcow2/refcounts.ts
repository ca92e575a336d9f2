import type { HostFile } from "../backend.ts";
import { HeaderOffset, badImage } from "./header.ts";
import type { Qcow2Header } from "./header.ts";

const MOST_BLOCKS = 64;
const MOST_FREE = 65_536;

/**
 * Which clusters of the file are used, and how often. Changes are written through before anything refers to the
 * clusters, so that a crash leaks clusters at worst. Callers run one at a time.
 */
export class Refcounts {
  readonly #file: HostFile;
  readonly #clusterBytes: number;
  readonly #order: number;
  /** Counts in one block. */
  readonly #perBlock: number;
  /** Offsets of the blocks; 0 for none. */
  #table: Float64Array;
  #tableOffset: number;
  #tableClusters: number;
  /** While the table moves to a larger place its entries are not written one by one. */
  #moving = false;
  readonly #blocks = new Map<number, Uint8Array>();
  /** Clusters that were freed and may be used again. */
  readonly #free: number[] = [];
  #end: number;

  private constructor(file: HostFile, header: Qcow2Header, table: Float64Array, fileBytes: number) {
    this.#file = file;
    this.#clusterBytes = 2 ** header.clusterBits;
    this.#order = header.refcountOrder;
    this.#perBlock = (this.#clusterBytes * 8) / 2 ** header.refcountOrder;
    this.#table = table;
    this.#tableOffset = header.refcountTableOffset;
    this.#tableClusters = header.refcountTableClusters;
    this.#end = Math.ceil(fileBytes / this.#clusterBytes);
  }

  static async open(file: HostFile, header: Qcow2Header, fileBytes: number): Promise<Refcounts> {
    const clusterBytes = 2 ** header.clusterBits;
    const bytes = new Uint8Array(header.refcountTableClusters * clusterBytes);
    await file.read(header.refcountTableOffset, bytes);
    const view = new DataView(bytes.buffer);
    const table = new Float64Array(bytes.length / 8);
    for (let i = 0; i < table.length; i++) {
      const low = (view.getUint32(8 * i + 4) & 0xffff_fe00) >>> 0;
      const offset = view.getUint32(8 * i) * 2 ** 32 + low;
      if (offset !== 0 && (offset % clusterBytes !== 0 || offset >= fileBytes))
        throw badImage(`refcount block ${i} is misaligned or past the end of the file`);
      table[i] = offset;
    }
    return new Refcounts(file, header, table, fileBytes);
  }

  /** Bytes of the file up to where clusters may lie. */
  get fileBytes(): number {
    return this.#end * this.#clusterBytes;
  }

  /** Takes `count` clusters that follow each other and counts them once; returns the first one's offset. */
  async allocate(count: number): Promise<number> {
    const reused = count === 1 ? this.#free.pop() : undefined;
    const first = reused ?? (await this.#takeEnd(count));
    // A block that describes these clusters may take clusters of its own after them.
    for (let i = 0; i < count; i++) await this.#change(first + i, 1, i + 1 === count);
    return first * this.#clusterBytes;
  }

  /**
   * Takes clusters at the file's end. A process that died after counting clusters and before writing them left
   * some there that are counted already: those stay leaked.
   */
  async #takeEnd(count: number): Promise<number> {
    for (let first = this.#end, i = 0; ; i++) {
      if (i === count) {
        this.#end = first + count;
        return first;
      }
      if ((await this.#count(first + i)) === 0) continue;
      first += i + 1;
      i = -1;
    }
  }

  async #count(cluster: number): Promise<number> {
    const index = Math.floor(cluster / this.#perBlock);
    if ((this.#table[index] ?? 0) === 0) return 0;
    return this.#read(await this.#block(index), cluster % this.#perBlock);
  }

  /** Counts the clusters that bytes lie in one time less; those not used any more are returned as holes. */
  async release(offset: number, length: number): Promise<void> {
    const first = Math.floor(offset / this.#clusterBytes);
    const last = Math.floor((offset + length - 1) / this.#clusterBytes);
    for (let cluster = first; cluster <= last; cluster++) {
      if ((await this.#change(cluster, -1, true)) > 0) continue;
      await this.#file.punchHole(cluster * this.#clusterBytes, this.#clusterBytes);
      if (this.#free.length < MOST_FREE) this.#free.push(cluster);
    }
  }

  /** Adds to a count and returns it; `write` is false when a change of the next cluster follows at once. */
  async #change(cluster: number, by: number, write: boolean): Promise<number> {
    const index = Math.floor(cluster / this.#perBlock);
    const block = await this.#block(index);
    const at = cluster % this.#perBlock;
    const count = this.#read(block, at) + by;
    if (count < 0 || count >= 2 ** Math.min(52, 2 ** this.#order))
      throw badImage(`cluster ${cluster} would be counted ${count} times: check the image`);
    this.#write(block, at, count);
    if (write || at === this.#perBlock - 1) await this.#writeBlock(index, block);
    return count;
  }

  async #block(index: number): Promise<Uint8Array> {
    const cached = this.#blocks.get(index);
    if (cached) return cached;
    if (index >= this.#table.length) await this.#growTable(index);
    const offset = this.#table[index] ?? 0;
    if (offset === 0) return this.#addBlock(index);
    const block = new Uint8Array(this.#clusterBytes);
    await this.#file.read(offset, block);
    this.#remember(index, block);
    return block;
  }

  async #addBlock(index: number): Promise<Uint8Array> {
    const cluster = await this.#takeEnd(1);
    const block = new Uint8Array(this.#clusterBytes);
    this.#remember(index, block);
    this.#table[index] = cluster * this.#clusterBytes;
    const describesItself = Math.floor(cluster / this.#perBlock) === index;
    if (describesItself) this.#write(block, cluster % this.#perBlock, 1);
    else await this.#change(cluster, 1, true);
    await this.#writeBlock(index, block);
    if (!this.#moving) await this.#writeTableEntry(index);
    return block;
  }

  /** Moves the table to a place where it has twice the room, at least for `index`. */
  async #growTable(index: number): Promise<void> {
    const perCluster = this.#clusterBytes / 8;
    const clusters = Math.max(2 * this.#tableClusters, Math.ceil((index + 1) / perCluster) + 1);
    const old = { offset: this.#tableOffset, clusters: this.#tableClusters };
    const table = new Float64Array(clusters * perCluster);
    table.set(this.#table);
    this.#table = table;
    this.#moving = true;
    const offset = await this.allocate(clusters);
    const bytes = new Uint8Array(clusters * this.#clusterBytes);
    const view = new DataView(bytes.buffer);
    this.#table.forEach((entry, i) => view.setBigUint64(8 * i, BigInt(entry)));
    await this.#file.write(offset, bytes);
    this.#moving = false;
    const header = new DataView(new ArrayBuffer(12));
    header.setBigUint64(0, BigInt(offset));
    header.setUint32(8, clusters);
    await this.#file.sync();
    await this.#file.write(HeaderOffset.RefcountTable, new Uint8Array(header.buffer));
    await this.#file.sync();
    this.#tableOffset = offset;
    this.#tableClusters = clusters;
    if (old.clusters > 0) await this.release(old.offset, old.clusters * this.#clusterBytes);
  }

  async #writeTableEntry(index: number): Promise<void> {
    const entry = new DataView(new ArrayBuffer(8));
    entry.setBigUint64(0, BigInt(this.#table[index] ?? 0));
    await this.#file.write(this.#tableOffset + 8 * index, new Uint8Array(entry.buffer));
  }

  async #writeBlock(index: number, block: Uint8Array): Promise<void> {
    await this.#file.write(this.#table[index] ?? 0, block);
  }

  #remember(index: number, block: Uint8Array): void {
    const oldest = this.#blocks.keys().next();
    if (this.#blocks.size >= MOST_BLOCKS && oldest.value !== undefined)
      this.#blocks.delete(oldest.value);
    this.#blocks.set(index, block);
  }

  #read(block: Uint8Array, at: number): number {
    const bits = 2 ** this.#order;
    if (bits < 8) return ((block[(at * bits) >> 3] ?? 0) >> ((at * bits) & 7)) & (2 ** bits - 1);
    let value = 0;
    for (let i = 0; i < bits / 8; i++) value = value * 256 + (block[(at * bits) / 8 + i] ?? 0);
    return value;
  }

  #write(block: Uint8Array, at: number, value: number): void {
    const bits = 2 ** this.#order;
    if (bits < 8) {
      const byte = (at * bits) >> 3;
      const shift = (at * bits) & 7;
      const mask = (2 ** bits - 1) << shift;
      block[byte] = ((block[byte] ?? 0) & ~mask) | (value << shift);
      return;
    }
    for (let i = bits / 8 - 1; i >= 0; i--) {
      block[(at * bits) / 8 + i] = value % 256;
      value = Math.floor(value / 256);
    }
  }
}
