import { closeSync, openSync, readSync } from "node:fs";
import { memoryError } from "../errors.ts";
import { PAGE_BYTES } from "../guest-memory.ts";
import type { GuestMemory } from "../guest-memory.ts";
import { loadLibc } from "./libc.ts";
import type { Libc } from "./libc.ts";

/** Flags of an entry of /proc/PID/pagemap, in its upper 32 bits (Documentation/admin-guide/mm/pagemap.rst). */
const PAGEMAP = { present: 1 << 31, swapped: 1 << 30, ofFile: 1 << 29 } as const;
const PAGEMAP_ENTRY_BYTES = 8;
const PAGEMAP_CHUNK = 64 * 1024;

/**
 * What the host's kernel can do with a guest's memory: map snapshots copy-on-write over it, and take pages
 * back. Linux, with the optional package koffi; elsewhere every method answers false.
 */
export class HostMemory {
  readonly #memory: GuestMemory;
  readonly #libc: Libc | undefined;
  /** Where the host has the RAM, once a file is mapped over it. */
  #address = -1;

  private constructor(memory: GuestMemory, libc: Libc | undefined) {
    this.#memory = memory;
    this.#libc = libc;
  }

  static async open(memory: GuestMemory): Promise<HostMemory> {
    return new HostMemory(memory, await loadLibc());
  }

  /** Whether the host can map and take back at all. */
  get available(): boolean {
    return this.#libc !== undefined;
  }

  /**
   * Maps the file, from `fileOffset`, over the whole RAM: pages are read when they are touched and copied when
   * they are written. The file must be that long, and must not change or shrink while the guest lives: a
   * page that is gone kills the process. The file may be closed and unlinked. The caller tells the memory's
   * listeners (`beforeWrite`).
   * @returns false if this host cannot, with nothing changed.
   */
  mapRam(fd: number, fileOffset: number): boolean {
    const { ramOffset, ramBytes } = this.#memory;
    this.#address = this.#map(ramOffset, ramBytes, fd, fileOffset);
    return this.#address !== -1;
  }

  /**
   * Maps a part of a file over a part of the RAM on which `mapRam` mapped another, in the same way.
   * @param offset where the part begins in the WebAssembly memory.
   * @returns false if this host cannot, with nothing changed.
   */
  mapPart(offset: number, length: number, fd: number, fileOffset: number): boolean {
    return this.#address !== -1 && this.#map(offset, length, fd, fileOffset) !== -1;
  }

  /**
   * The guest-physical addresses of the pages that were written to since files were mapped over them: no others differ
   * from their files. It costs the guest nothing, unlike dirty tracking; the host's kernel knows.
   * @returns undefined where the host does not tell, or nothing is mapped.
   */
  ownPages(): number[] | undefined {
    if (this.#address === -1 || this.#libc?.pageBytes !== PAGE_BYTES) return undefined;
    const pages = this.#memory.ramBytes / PAGE_BYTES;
    const own: number[] = [];
    const chunk = Buffer.alloc(Math.min(pages, PAGEMAP_CHUNK) * PAGEMAP_ENTRY_BYTES);
    const words = new Int32Array(chunk.buffer, chunk.byteOffset, chunk.length / 4);
    let fd = -1;
    try {
      fd = openSync("/proc/self/pagemap", "r");
      for (let first = 0; first < pages; first += PAGEMAP_CHUNK) {
        const count = Math.min(PAGEMAP_CHUNK, pages - first);
        const position = (this.#address / PAGE_BYTES + first) * PAGEMAP_ENTRY_BYTES;
        const bytes = count * PAGEMAP_ENTRY_BYTES;
        if (readSync(fd, chunk, 0, bytes, position) !== bytes) return undefined;
        for (let i = 0; i < count; i++) {
          const flags = words[2 * i + 1] as number;
          if ((flags & (PAGEMAP.present | PAGEMAP.swapped)) === 0) continue;
          if (flags & PAGEMAP.ofFile) continue;
          own.push(this.#memory.addressOf(this.#memory.ramOffset + (first + i) * PAGE_BYTES));
        }
      }
      return own;
    } catch {
      return undefined;
    } finally {
      if (fd !== -1) closeSync(fd);
    }
  }

  #map(offset: number, length: number, fd: number, fileOffset: number): number {
    const libc = this.#libc;
    if (!libc || [offset, length, fileOffset].some((n) => n % libc.pageBytes !== 0)) return -1;
    const place = this.#memory.bytes.subarray(offset, offset + length);
    return libc.mapPrivate(place, length, fd, fileOffset);
  }

  /**
   * Gives guest pages back to the host. What they hold afterwards is not defined: zeros, or where a snapshot is
   * mapped the snapshot's bytes; a guest that gave the page away must not count on either.
   * @returns false if this host cannot, or a page is read-only: the bytes are unchanged.
   * @throws QZ_MEMORY_OUT_OF_RANGE unless it is all RAM.
   */
  discard(address: number, length: number): boolean {
    const { pageBytes } = this.#libc ?? { pageBytes: 1 };
    const offset = this.#memory.offsetOf(address, length);
    if (offset < 0) {
      throw memoryError("QZ_MEMORY_OUT_OF_RANGE", { address: `0x${address.toString(16)}`, length });
    }
    // Only whole pages of the host: the rest may hold something.
    const start = Math.ceil(offset / pageBytes) * pageBytes;
    const end = Math.floor((offset + length) / pageBytes) * pageBytes;
    if (!this.#libc || end <= start) return false;
    if (!this.#memory.beforeWrite(start, end - start)) return false;
    return this.#libc.dontNeed(this.#memory.bytes.subarray(start, end), end - start);
  }
}

/**
 * Has the C library give memory back to the host that it holds and nobody uses, such as what compiling took. Where
 * that is not possible nothing happens.
 */
export async function returnFreeMemory(): Promise<void> {
  (await loadLibc())?.trim();
}
