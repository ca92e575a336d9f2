import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import type { FileContent } from "../tree/node.ts";
import { inHome } from "./cache.ts";

const CHUNK_BYTES = 1 << 20;

/**
 * Keeps the contents of a tree in one temporary file, one after the other, so that a large root file system
 * need not fit in memory.
 */
export class SpoolFile implements AsyncDisposable {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #buffer = Buffer.alloc(CHUNK_BYTES);
  #filled = 0;
  #written = 0;

  private constructor(path: string, file: FileHandle) {
    this.#path = path;
    this.#file = file;
  }

  /** Makes the file; its folder must be there, and whoever made that removes it. */
  static async create(path: string): Promise<SpoolFile> {
    return new SpoolFile(path, await inHome(path, () => open(path, "wx+")));
  }

  /** A `ContentStore`. */
  readonly store = async (size: number, bytes: AsyncIterable<Uint8Array>): Promise<FileContent> => {
    const start = this.#written + this.#filled;
    for await (const chunk of bytes) {
      for (let at = 0; at < chunk.length;) {
        const take = Math.min(chunk.length - at, CHUNK_BYTES - this.#filled);
        this.#buffer.set(chunk.subarray(at, at + take), this.#filled);
        this.#filled += take;
        at += take;
        if (this.#filled === CHUNK_BYTES) await this.#flush();
      }
    }
    return { size, read: () => this.#read(start, size) };
  };

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }

  async *#read(start: number, size: number): AsyncGenerator<Uint8Array> {
    await this.#flush();
    const chunk = Buffer.allocUnsafe(Math.min(size, CHUNK_BYTES));
    for (let at = 0; at < size;) {
      const wanted = Math.min(size - at, chunk.length);
      const { bytesRead } = await inHome(this.#path, () =>
        this.#file.read(chunk, 0, wanted, start + at),
      );
      if (bytesRead === 0) return;
      at += bytesRead;
      yield chunk.subarray(0, bytesRead);
    }
  }

  async #flush(): Promise<void> {
    if (this.#filled === 0) return;
    const bytes = this.#buffer.subarray(0, this.#filled);
    await inHome(this.#path, () => writeFully(this.#file, bytes, this.#written));
    this.#written += this.#filled;
    this.#filled = 0;
  }
}

/** Writes all of some bytes at an offset: a write may take only a part. */
export async function writeFully(
  file: FileHandle,
  bytes: Uint8Array,
  offset: number,
): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, offset + at);
    at += bytesWritten;
  }
}
