import type { GuestMemory } from "@queztl/memory";
import { bootError, hex } from "./errors.ts";
import type { MemoryRange } from "./memory-map.ts";

interface Piece extends MemoryRange {
  readonly what: string;
  readonly bytes: Uint8Array;
}

/**
 * What will be written where. Every piece is checked when it is put, and nothing is written before
 * `commit`, so that a kernel which cannot be loaded leaves guest memory as it was.
 */
export class Placement {
  readonly #memory: GuestMemory;
  readonly #pieces: Piece[] = [];

  constructor(memory: GuestMemory) {
    this.#memory = memory;
  }

  /**
   * Puts bytes at an address; `length` may be more than they are, the rest being zeros.
   * @throws QZ_BOOT_NO_ROOM outside RAM, QZ_BOOT_OVERLAP on another piece.
   */
  put(what: string, address: number, bytes: Uint8Array, length = bytes.length): void {
    if (length === 0) return;
    if (!this.#memory.contains(address, length)) {
      throw bootError("QZ_BOOT_NO_ROOM", { what, bytes: length, where: `at ${hex(address)}` });
    }
    const other = this.#overlapping(address, length);
    if (other) {
      throw bootError("QZ_BOOT_OVERLAP", {
        what,
        address: hex(address),
        bytes: length,
        other: other.what,
      });
    }
    this.#pieces.push({ what, address, length, bytes });
  }

  /**
   * Puts bytes at the highest free address that is a multiple of `align` and ends below `below`, not under `least`.
   * @returns the address. @throws QZ_BOOT_NO_ROOM
   */
  putHigh(
    what: string,
    bytes: Uint8Array,
    limits: { below: number; least: number; align: number },
  ): number {
    const { below, least, align } = limits;
    const low = this.#memory.regions[0]?.length ?? 0;
    let address = roundDown(Math.min(below, low) - bytes.length, align);
    while (address >= least) {
      const other = this.#overlapping(address, bytes.length);
      if (!other) {
        this.put(what, address, bytes);
        return address;
      }
      address = roundDown(other.address - bytes.length, align);
    }
    const where = `between ${hex(least)} and ${hex(Math.min(below, low))}`;
    throw bootError("QZ_BOOT_NO_ROOM", { what, bytes: bytes.length, where });
  }

  /** Writes all pieces to guest memory. */
  commit(): void {
    for (const { address, length, bytes } of this.#pieces) {
      const view = this.#memory.writeView(address, length);
      view.set(bytes);
      view.fill(0, bytes.length);
    }
  }

  #overlapping(address: number, length: number): Piece | undefined {
    return this.#pieces.find((p) => p.address < address + length && address < p.address + p.length);
  }
}

function roundDown(value: number, unit: number): number {
  return Math.floor(value / unit) * unit;
}
