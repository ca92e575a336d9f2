import { imagesError } from "../errors.ts";
import type { FileContent } from "../tree/node.ts";
import type { BlockAllocator } from "./block-allocator.ts";
import { ExtentList } from "./extents.ts";
import type { Extent } from "./extents.ts";
import { BLOCK_BYTES } from "./format.ts";
import type { DiskSink } from "./sink.ts";

/** Blocks read and written together: 1 MiB. */
const WINDOW_BLOCKS = 256;

/** Where a file's blocks went. */
export interface StoredBlocks {
  readonly extents: readonly Extent[];
  /** Blocks in use; those of zeros are holes. */
  readonly blocks: number;
}

/**
 * Writes contents to a disk one after the other through one buffer. Blocks of zeros are left out: a sparse
 * file reads them as they are.
 */
export class BlockWriter {
  readonly #sink: DiskSink;
  readonly #allocator: BlockAllocator;
  readonly #window = new Uint8Array(WINDOW_BLOCKS * BLOCK_BYTES);
  readonly #words = new Uint32Array(this.#window.buffer);

  constructor(sink: DiskSink, allocator: BlockAllocator) {
    this.#sink = sink;
    this.#allocator = allocator;
  }

  /**
   * @param path for errors.
   * @throws QZ_IMAGES_BAD_FILE where the content is not as long as it says.
   */
  async write(content: FileContent, path: string): Promise<StoredBlocks> {
    const list = new ExtentList();
    let blocks = 0;
    let logical = 0;
    let filled = 0;
    let total = 0;
    const flush = async () => {
      this.#window.fill(0, filled);
      const count = Math.ceil(filled / BLOCK_BYTES);
      // Blocks that lie together go to the sink in one piece.
      let runStart = 0;
      let runBlock = 0;
      let runLength = 0;
      const writeRun = async () => {
        if (runLength === 0) return;
        const bytes = this.#window.subarray(
          runStart * BLOCK_BYTES,
          (runStart + runLength) * BLOCK_BYTES,
        );
        await this.#sink.write(runBlock * BLOCK_BYTES, bytes);
        runLength = 0;
      };
      for (let i = 0; i < count; i++) {
        if (this.#isZero(i)) {
          await writeRun();
          continue;
        }
        const block = this.#allocator.take();
        blocks++;
        list.add(logical + i, block);
        if (runLength > 0 && runBlock + runLength !== block) await writeRun();
        if (runLength === 0) {
          runStart = i;
          runBlock = block;
        }
        runLength++;
      }
      await writeRun();
      logical += count;
      filled = 0;
    };
    for await (const chunk of content.read()) {
      total += chunk.length;
      if (total > content.size) break;
      for (let at = 0; at < chunk.length;) {
        const take = Math.min(chunk.length - at, this.#window.length - filled);
        this.#window.set(chunk.subarray(at, at + take), filled);
        filled += take;
        at += take;
        if (filled === this.#window.length) await flush();
      }
    }
    if (total !== content.size) {
      const reason = `its content is not the ${content.size} bytes long that it should be`;
      throw imagesError("QZ_IMAGES_BAD_FILE", { path, reason });
    }
    await flush();
    return { extents: list.extents, blocks };
  }

  #isZero(block: number): boolean {
    const end = ((block + 1) * BLOCK_BYTES) / 4;
    for (let at = (block * BLOCK_BYTES) / 4; at < end; at++) {
      if (this.#words[at] !== 0) return false;
    }
    return true;
  }
}
