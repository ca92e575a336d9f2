import { imagesError } from "../errors.ts";
import { BLOCK_BYTES } from "./format.ts";
import { dataStart, groupEnd, groupStart } from "./geometry.ts";
import type { Geometry } from "./geometry.ts";

/**
 * Gives out the blocks of a disk from the first to the last, passing over each group's metadata. Nothing
 * is ever given back, so that used blocks are all those before the cursor.
 */
export class BlockAllocator {
  readonly geometry: Geometry;
  #group = 0;
  #next: number;

  constructor(geometry: Geometry) {
    this.geometry = geometry;
    this.#next = dataStart(geometry, 0);
  }

  /** The next free block. */
  take(): number {
    while (this.#next >= groupEnd(this.geometry, this.#group)) {
      if (++this.#group >= this.geometry.groups) {
        const size = this.geometry.blocks * BLOCK_BYTES;
        throw imagesError("QZ_IMAGES_DISK_FULL", { size, needed: size + BLOCK_BYTES });
      }
      this.#next = dataStart(this.geometry, this.#group);
    }
    return this.#next++;
  }

  /** Blocks of a group that are in use, its metadata counted: they are its first. */
  usedInGroup(group: number): number {
    const start = groupStart(group);
    if (group < this.#group) return groupEnd(this.geometry, group) - start;
    const end = group === this.#group ? this.#next : dataStart(this.geometry, group);
    return end - start;
  }
}
