import type { HostFile } from "../backend.ts";
import { badImage } from "./header.ts";
import type { Qcow2Header } from "./header.ts";

/** What a cluster of the disk is. */
export type Mapping =
  | { readonly kind: "absent" | "zero" }
  | {
      readonly kind: "data";
      readonly offset: number;
      /** Whether the cluster is this disk's alone, so that it may be written in place. */
      readonly own: boolean;
    }
  | { readonly kind: "compressed"; readonly offset: number; readonly bytes: number };

const COPIED = 0x8000_0000;
const COMPRESSED = 0x4000_0000;
const ZERO = 1;
const OFFSET_HIGH = 0x00ff_ffff;
const OFFSET_LOW = 0xffff_fe00;
const CACHE_BYTES = 16 * 1024 * 1024;

interface Table {
  readonly view: DataView<ArrayBuffer>;
  offset: number;
  dirty: boolean;
}

/** The disk's two levels of tables, cached; changes are kept until `writeBack`. */
export class L2Tables {
  readonly #file: HostFile;
  readonly #header: Qcow2Header;
  readonly #clusterBytes: number;
  readonly #entries: number;
  readonly #l1: DataView<ArrayBuffer>;
  readonly #fileBytes: () => number;
  readonly #tables = new Map<number, Table>();
  readonly #dirtyL1 = new Set<number>();

  private constructor(
    file: HostFile,
    header: Qcow2Header,
    l1: Uint8Array<ArrayBuffer>,
    fileBytes: () => number,
  ) {
    this.#file = file;
    this.#header = header;
    this.#clusterBytes = 2 ** header.clusterBits;
    this.#entries = this.#clusterBytes / 8;
    this.#l1 = new DataView(l1.buffer);
    this.#fileBytes = fileBytes;
  }

  static async open(
    file: HostFile,
    header: Qcow2Header,
    fileBytes: () => number,
  ): Promise<L2Tables> {
    const l1 = new Uint8Array(header.l1Entries * 8);
    await file.read(header.l1Offset, l1);
    return new L2Tables(file, header, l1, fileBytes);
  }

  /** Whether there are changes to write. */
  get dirty(): boolean {
    return this.#dirtyL1.size > 0 || [...this.#tables.values()].some((table) => table.dirty);
  }

  /** Whether the cache is over its size, so that the next change should be written back first. */
  get full(): boolean {
    return this.#tables.size * this.#clusterBytes > CACHE_BYTES;
  }

  /** Where a cluster of the disk is. @throws QZ_VIRTIO_IMAGE for an entry that points nowhere. */
  async mapping(cluster: number): Promise<Mapping> {
    const table = await this.#load(Math.floor(cluster / this.#entries));
    if (table === undefined) return { kind: "absent" };
    const at = 8 * (cluster % this.#entries);
    return this.#decode(table.view.getUint32(at), table.view.getUint32(at + 4));
  }

  /** Whether a table for the cluster is there already. */
  async has(cluster: number): Promise<boolean> {
    return (await this.#load(Math.floor(cluster / this.#entries))) !== undefined;
  }

  /** Puts an empty table for the cluster at a newly allocated offset. */
  add(cluster: number, offset: number): void {
    const index = Math.floor(cluster / this.#entries);
    const view = new DataView(new ArrayBuffer(this.#clusterBytes));
    this.#tables.set(index, { view, offset, dirty: true });
    this.#l1.setUint32(8 * index, (COPIED | Math.floor(offset / 2 ** 32)) >>> 0);
    this.#l1.setUint32(8 * index + 4, offset >>> 0);
    this.#dirtyL1.add(index);
  }

  /** Maps a cluster, whose table is loaded, to an offset of its own. */
  async setData(cluster: number, offset: number): Promise<void> {
    await this.#set(cluster, (COPIED | Math.floor(offset / 2 ** 32)) >>> 0, offset >>> 0);
  }

  /** Unmaps a cluster: it reads as zeroes, or where `absent` as the backing disk. */
  async unset(cluster: number, kind: "absent" | "zero"): Promise<void> {
    await this.#set(cluster, 0, kind === "zero" ? ZERO : 0);
  }

  /**
   * Writes the changes so that each reference is written after what it refers to: the caller has made data and
   * reference counts durable.
   */
  async writeBack(): Promise<void> {
    for (const table of this.#tables.values()) {
      if (!table.dirty) continue;
      table.dirty = false;
      try {
        await this.#file.write(table.offset, new Uint8Array(table.view.buffer));
      } catch (error) {
        table.dirty = true;
        throw error;
      }
    }
    if (this.#dirtyL1.size > 0) {
      await this.#file.sync();
      for (const index of this.#dirtyL1) {
        const entry = new Uint8Array(this.#l1.buffer, 8 * index, 8);
        await this.#file.write(this.#header.l1Offset + 8 * index, entry);
        this.#dirtyL1.delete(index);
      }
    }
    if (this.full) this.#tables.clear();
  }

  async #set(cluster: number, high: number, low: number): Promise<void> {
    const table = await this.#load(Math.floor(cluster / this.#entries));
    if (table === undefined) throw badImage("a mapping without a table");
    const at = 8 * (cluster % this.#entries);
    table.view.setUint32(at, high);
    table.view.setUint32(at + 4, low);
    table.dirty = true;
  }

  async #load(index: number): Promise<Table | undefined> {
    const cached = this.#tables.get(index);
    if (cached) return cached;
    const high = this.#l1.getUint32(8 * index);
    const offset = offsetOf(high, this.#l1.getUint32(8 * index + 4));
    if (offset === 0) return undefined;
    this.#check("an L2 table", offset);
    const bytes = new Uint8Array(this.#clusterBytes);
    await this.#file.read(offset, bytes);
    // Another read may have loaded it meanwhile, and a write changed it.
    const raced = this.#tables.get(index);
    if (raced) return raced;
    const table = { view: new DataView(bytes.buffer), offset, dirty: false };
    if (this.full) for (const [key, old] of this.#tables) if (!old.dirty) this.#tables.delete(key);
    this.#tables.set(index, table);
    return table;
  }

  #decode(high: number, low: number): Mapping {
    const { version, clusterBits } = this.#header;
    if (high & COMPRESSED) {
      // 62 bits: the offset, and above it the number of further sectors.
      const offsetBits = 62 - (clusterBits - 8);
      const word = (high & 0x3fff_ffff) * 2 ** 32 + low;
      const exact = (BigInt(high & 0x3fff_ffff) << 32n) | BigInt(low);
      const offset = Number(exact & ((1n << BigInt(offsetBits)) - 1n));
      const sectors = Math.floor(word / 2 ** offsetBits);
      const bytes = (sectors + 1) * 512 - (offset % 512);
      if (offset >= this.#fileBytes()) throw badImage("compressed data past the end of the file");
      return { kind: "compressed", offset, bytes };
    }
    if (version === 3 && low & ZERO) return { kind: "zero" };
    const offset = offsetOf(high, low);
    if (offset === 0) return { kind: "absent" };
    this.#check("a cluster", offset);
    return { kind: "data", offset, own: high >= COPIED };
  }

  #check(what: string, offset: number): void {
    if (offset % this.#clusterBytes !== 0 || offset + this.#clusterBytes > this.#fileBytes())
      throw badImage(`${what} at ${offset} is misaligned or past the end of the file`);
  }
}

function offsetOf(high: number, low: number): number {
  return (high & OFFSET_HIGH) * 2 ** 32 + ((low & OFFSET_LOW) >>> 0);
}
