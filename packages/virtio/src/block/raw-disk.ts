import { virtioError } from "../errors.ts";
import { SECTOR_BYTES, zeroFile } from "./backend.ts";
import type { BlockBackend, HostFile } from "./backend.ts";

/** A disk whose sectors are the file's bytes. */
export class RawDisk implements BlockBackend {
  readonly capacity: number;
  readonly readOnly: boolean;
  readonly readVector?: NonNullable<BlockBackend["readVector"]>;
  readonly writeVector?: NonNullable<BlockBackend["writeVector"]>;
  readonly readCached?: NonNullable<BlockBackend["readCached"]>;
  readonly #file: HostFile;

  private constructor(file: HostFile, capacity: number, readOnly: boolean) {
    this.#file = file;
    this.capacity = capacity;
    this.readOnly = readOnly;
    if (file.readVector) this.readVector = file.readVector.bind(file);
    if (file.writeVector) this.writeVector = file.writeVector.bind(file);
    if (file.readCached) this.readCached = file.readCached.bind(file);
  }

  /**
   * Opens a file as a disk of its whole sectors; the disk closes the file. The format is never guessed: what
   * looks like another format inside is the guest's data.
   * @throws QZ_VIRTIO_OPTIONS for a file of less than one sector.
   */
  static async open(file: HostFile, options: { readOnly?: boolean } = {}): Promise<RawDisk> {
    const size = await file.size();
    const capacity = size - (size % SECTOR_BYTES);
    if (capacity === 0) {
      throw virtioError("QZ_VIRTIO_OPTIONS", {
        option: "a raw disk",
        value: file.name,
        reason: `it holds ${size} bytes, less than one sector`,
      });
    }
    return new RawDisk(file, capacity, options.readOnly === true || file.readOnly);
  }

  read(offset: number, target: Uint8Array): Promise<void> {
    return this.#file.read(offset, target);
  }

  write(offset: number, source: Uint8Array): Promise<void> {
    return this.#file.write(offset, source);
  }

  flush(): Promise<void> {
    return this.#file.sync();
  }

  async discard(offset: number, length: number): Promise<void> {
    await this.#file.punchHole(offset, length);
  }

  writeZeroes(offset: number, length: number, unmap: boolean): Promise<void> {
    return zeroFile(this.#file, offset, length, unmap);
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
