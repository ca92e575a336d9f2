/**
 * Where a disk is written: bytes at any offset, in any order. What is never written reads as zeros, so that
 * a sparse file holds no more than the files of the disk.
 */
export interface DiskSink {
  /** Called first, once, with the size of the disk in bytes. */
  setSize(bytes: number): void | Promise<void>;
  /** `bytes` may be used for something else once the promise is fulfilled. */
  write(offset: number, bytes: Uint8Array): void | Promise<void>;
}

/** A disk in memory; for disks far below 2 GiB. */
export class MemoryDisk implements DiskSink {
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);

  setSize(bytes: number): void {
    this.bytes = new Uint8Array(bytes);
  }

  write(offset: number, bytes: Uint8Array): void {
    this.bytes.set(bytes, offset);
  }
}
