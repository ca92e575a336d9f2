import { memoryError } from "../errors.ts";
import type { GuestMemory } from "../guest-memory.ts";
import { loadLibc } from "./libc.ts";
import type { Libc } from "./libc.ts";

/**
 * What the host's kernel can do with a guest's memory: map snapshots copy-on-write over it, and take pages
 * back. Linux, with the optional package koffi; elsewhere every method answers false.
 */
export class HostMemory {
  readonly #memory: GuestMemory;
  readonly #libc: Libc | undefined;

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
    const libc = this.#libc;
    const { ramOffset, ramBytes, bytes } = this.#memory;
    if (!libc) return false;
    const units = [ramOffset, ramBytes, fileOffset];
    if (units.some((n) => n % libc.pageBytes !== 0)) return false;
    const ram = bytes.subarray(ramOffset, ramOffset + ramBytes);
    return libc.mapPrivate(ram, ramBytes, fd, fileOffset);
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
