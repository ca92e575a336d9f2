/**
 * What a block device stores its sectors in. Offsets and lengths are bytes, multiples of 512, inside
 * `capacity` (the device checks). Each call rejects with a coded error when the host fails; the guest then
 * sees an I/O error. Calls may run at the same time; overlapping ones end in either order.
 */
export interface BlockBackend {
  /** Bytes, a multiple of 512. */
  readonly capacity: number;
  readonly readOnly: boolean;
  /** Fills the whole of `target`. */
  read(offset: number, target: Uint8Array): Promise<void>;
  /** Resolves once a later `read` sees the bytes; they are durable only after a `flush`. */
  write(offset: number, source: Uint8Array): Promise<void>;
  /** `read` into several buffers, which may be guest memory. */
  readVector?(offset: number, targets: readonly Uint8Array[]): Promise<void>;
  /** `write` from several buffers, which may be guest memory: what they hold can change meanwhile. */
  writeVector?(offset: number, sources: readonly Uint8Array[]): Promise<void>;
  /**
   * Fills all of the buffers at once where the host has the bytes in its memory. False, and never an error, where it would
   * have to wait or does not know; what the buffers hold then is not defined.
   */
  readCached?(offset: number, targets: readonly Uint8Array[]): boolean;
  /** Resolves once every write that resolved before is on stable storage. */
  flush(): Promise<void>;
  /** The guest does not need the bytes any more; they read as anything, here as zeroes or as before. */
  discard(offset: number, length: number): Promise<void>;
  /** The bytes read as zeroes from now on; `unmap` allows giving their space back. */
  writeZeroes(offset: number, length: number, unmap: boolean): Promise<void>;
  close(): Promise<void>;
}

/** A file of the host, or something like one. Calls reject with a coded error when the host fails. */
export interface HostFile {
  /** For messages. */
  readonly name: string;
  readonly readOnly: boolean;
  size(): Promise<number>;
  /** Fills the whole of `target`; what lies past the end reads as zeroes. */
  read(offset: number, target: Uint8Array): Promise<void>;
  /** Writes all of `source`, growing the file if it ends past its end. */
  write(offset: number, source: Uint8Array): Promise<void>;
  /** `read` into several buffers. */
  readVector?(offset: number, targets: readonly Uint8Array[]): Promise<void>;
  /** `write` from several buffers. */
  writeVector?(offset: number, sources: readonly Uint8Array[]): Promise<void>;
  /** As that of `BlockBackend`; buffers past the file's end are not filled. */
  readCached?(offset: number, targets: readonly Uint8Array[]): boolean;
  /** Resolves once all that was written is on stable storage. */
  sync(): Promise<void>;
  resize(size: number): Promise<void>;
  /** Turns bytes into a hole that reads as zeroes; false where the host cannot, and nothing changed. */
  punchHole(offset: number, length: number): Promise<boolean>;
  close(): Promise<void>;
}

/** Bytes of one sector, the unit of virtio block addresses. */
export const SECTOR_BYTES = 512;

const ZERO_CHUNK = 1024 * 1024;

/** Makes bytes of a file read as zeroes: as a hole where the host can, by writing them elsewhere. */
export async function zeroFile(
  file: HostFile,
  offset: number,
  length: number,
  unmap: boolean,
): Promise<void> {
  if (length === 0 || (unmap && (await file.punchHole(offset, length)))) return;
  const zeroes = new Uint8Array(Math.min(length, ZERO_CHUNK));
  for (let done = 0; done < length; done += zeroes.length) {
    await file.write(offset + done, zeroes.subarray(0, Math.min(zeroes.length, length - done)));
  }
}
