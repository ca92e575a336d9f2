import {
  close,
  constants,
  fdatasync,
  fstat,
  ftruncate,
  open,
  read,
  readv,
  write,
  writev,
} from "node:fs";
import type { Stats } from "node:fs";
import type { HostFile } from "../block/backend.ts";
import { bytesOf } from "../block/vector.ts";
import { virtioError } from "../errors.ts";
import { fileCalls } from "./libc.ts";
import type { CachedRead, FileCalls } from "./libc.ts";

/** How a file of the host is opened. */
export interface NodeFileOptions {
  readonly readOnly?: boolean;
  /** Makes the file when there is none; `size` is the size it gets then, sparse. */
  readonly create?: { readonly size: number };
}

type Callback<T> = (error: Error | null, value?: T) => void;

/**
 * A file of the host for disks. Reads and writes run in Node's thread pool; `sync` is `fdatasync`, which also
 * makes the size and the extents durable. On Linux, where the optional package `koffi` is installed, holes are punched
 * with `fallocate`, and what the page cache has is read at once with `preadv2`.
 */
export class NodeFile implements HostFile {
  readonly name: string;
  readonly readOnly: boolean;
  readonly #punchHole: FileCalls["punchHole"] | undefined;
  #readCached: CachedRead | undefined;
  #fd: number;

  private constructor(
    name: string,
    fd: number,
    readOnly: boolean,
    { punchHole, readCached }: Partial<FileCalls>,
  ) {
    this.name = name;
    this.#fd = fd;
    this.readOnly = readOnly;
    this.#punchHole = punchHole;
    this.#readCached = readCached;
  }

  /** @throws QZ_VIRTIO_DISK_IO when the host cannot open or make it. */
  static async open(path: string, options: NodeFileOptions = {}): Promise<NodeFile> {
    const readOnly = options.readOnly === true;
    const flags = readOnly
      ? constants.O_RDONLY
      : constants.O_RDWR | (options.create ? constants.O_CREAT : 0);
    const fd = await called<number>(path, "open the file", (done) =>
      open(path, flags, 0o600, done),
    );
    const file = new NodeFile(path, fd, readOnly, (await fileCalls()) ?? {});
    if (options.create && (await file.size()) === 0) await file.resize(options.create.size);
    return file;
  }

  async size(): Promise<number> {
    const stats = await this.#call<Stats>("read the file's size", (done) => fstat(this.#fd, done));
    return stats.size;
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    for (let done = 0; done < target.length;) {
      const count = await this.#call<number>("read", (callback) =>
        read(this.#fd, target, done, target.length - done, offset + done, callback),
      );
      if (count === 0) {
        target.fill(0, done);
        return;
      }
      done += count;
    }
  }

  async write(offset: number, source: Uint8Array): Promise<void> {
    for (let done = 0; done < source.length;) {
      done += await this.#call<number>("write", (callback) =>
        write(this.#fd, source, done, source.length - done, offset + done, callback),
      );
    }
  }

  async readVector(offset: number, targets: readonly Uint8Array[]): Promise<void> {
    for (let rest = targets; rest.length > 0;) {
      const at = offset;
      const count = await this.#call<number>("read", (callback) =>
        readv(this.#fd, rest, at, callback),
      );
      if (count === 0) {
        for (const target of rest) target.fill(0);
        return;
      }
      offset += count;
      rest = behind(rest, count);
    }
  }

  async writeVector(offset: number, sources: readonly Uint8Array[]): Promise<void> {
    for (let rest = sources; rest.length > 0;) {
      const at = offset;
      const count = await this.#call<number>("write", (callback) =>
        writev(this.#fd, rest, at, callback),
      );
      offset += count;
      rest = behind(rest, count);
    }
  }

  readCached(offset: number, targets: readonly Uint8Array[]): boolean {
    if (this.#readCached === undefined || this.#fd < 0) return false;
    const count = this.#readCached(this.#fd, offset, targets);
    // Some file systems cannot tell. Whatever else is wrong, a read that waits says it better.
    if (count === "never") this.#readCached = undefined;
    return count === bytesOf(targets);
  }

  async sync(): Promise<void> {
    await this.#call("sync", (done) => fdatasync(this.#fd, done));
  }

  async resize(size: number): Promise<void> {
    await this.#call("resize the file", (done) => ftruncate(this.#fd, size, done));
  }

  async punchHole(offset: number, length: number): Promise<boolean> {
    if (length === 0) return true;
    // A hole ends at the file's end: past it there is nothing to give back.
    return (await this.#punchHole?.(this.#fd, offset, length)) ?? false;
  }

  async close(): Promise<void> {
    if (this.#fd < 0) return;
    const fd = this.#fd;
    this.#fd = -1;
    await called(this.name, "close the file", (done) => close(fd, done));
  }

  #call<T>(operation: string, start: (done: Callback<T>) => void): Promise<T> {
    if (this.#fd < 0) return Promise.reject(virtioError("QZ_VIRTIO_CLOSED", { what: this.name }));
    return called(this.name, operation, start);
  }
}

/** What is left of the buffers behind the first `count` bytes. */
function behind(buffers: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  let whole = 0;
  for (const buffer of buffers) {
    if (count < buffer.length) break;
    count -= buffer.length;
    whole++;
  }
  const [first, ...rest] = buffers.slice(whole);
  return first === undefined ? [] : [first.subarray(count), ...rest];
}

function called<T>(
  what: string,
  operation: string,
  start: (done: Callback<T>) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => {
      if (error) reject(virtioError("QZ_VIRTIO_DISK_IO", { what, operation }, { cause: error }));
      else resolve(value as T);
    });
  });
}
