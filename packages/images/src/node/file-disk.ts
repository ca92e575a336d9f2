import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import type { DiskSink } from "../ext4/sink.ts";
import { inHome } from "./cache.ts";
import { writeFully } from "./spool-file.ts";

/** A disk in a sparse file, which must not be there yet. Dispose of it when all is written. */
export class FileDisk implements DiskSink, AsyncDisposable {
  readonly #path: string;
  readonly #file: FileHandle;

  private constructor(path: string, file: FileHandle) {
    this.#path = path;
    this.#file = file;
  }

  /** @throws QZ_IMAGES_HOME */
  static async create(path: string): Promise<FileDisk> {
    return new FileDisk(path, await inHome(path, () => open(path, "wx")));
  }

  async setSize(bytes: number): Promise<void> {
    await inHome(this.#path, () => this.#file.truncate(bytes));
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    await inHome(this.#path, () => writeFully(this.#file, bytes, offset));
  }

  /** Waits until all of it would outlive a power cut. */
  async flush(): Promise<void> {
    await inHome(this.#path, () => this.#file.sync());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}
