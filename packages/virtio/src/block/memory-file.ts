import type { HostFile } from "./backend.ts";

const PAGE = 65536;

/** A sparse file in the host's memory: for machines without a disk, browsers and tests. */
export class MemoryFile implements HostFile {
  readonly name: string;
  readonly readOnly = false;
  #size: number;
  #pages = new Map<number, Uint8Array>();

  constructor(size = 0, name = "memory") {
    this.#size = size;
    this.name = name;
  }

  /** Bytes of memory the file's contents take. */
  get storedBytes(): number {
    return this.#pages.size * PAGE;
  }

  size(): Promise<number> {
    return Promise.resolve(this.#size);
  }

  read(offset: number, target: Uint8Array): Promise<void> {
    this.#fill(offset, target);
    return Promise.resolve();
  }

  readCached(offset: number, targets: readonly Uint8Array[]): boolean {
    for (const target of targets) {
      this.#fill(offset, target);
      offset += target.length;
    }
    return true;
  }

  write(offset: number, source: Uint8Array): Promise<void> {
    this.#each(offset, source.length, (index, at, done, length) => {
      let page = this.#pages.get(index);
      if (page === undefined) this.#pages.set(index, (page = new Uint8Array(PAGE)));
      page.set(source.subarray(done, done + length), at);
    });
    this.#size = Math.max(this.#size, offset + source.length);
    return Promise.resolve();
  }

  async readVector(offset: number, targets: readonly Uint8Array[]): Promise<void> {
    for (const target of targets) {
      await this.read(offset, target);
      offset += target.length;
    }
  }

  async writeVector(offset: number, sources: readonly Uint8Array[]): Promise<void> {
    for (const source of sources) {
      await this.write(offset, source);
      offset += source.length;
    }
  }

  sync(): Promise<void> {
    return Promise.resolve();
  }

  resize(size: number): Promise<void> {
    if (size < this.#size) this.#zero(size, Math.ceil(this.#size / PAGE) * PAGE - size);
    this.#size = size;
    return Promise.resolve();
  }

  punchHole(offset: number, length: number): Promise<boolean> {
    this.#zero(offset, length);
    return Promise.resolve(true);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #fill(offset: number, target: Uint8Array): void {
    this.#each(offset, target.length, (index, at, done, length) => {
      const page = this.#pages.get(index);
      if (page) target.set(page.subarray(at, at + length), done);
      else target.fill(0, done, done + length);
    });
  }

  #zero(offset: number, length: number): void {
    this.#each(offset, length, (index, at, _done, part) => {
      if (part === PAGE) this.#pages.delete(index);
      else this.#pages.get(index)?.fill(0, at, at + part);
    });
  }

  #each(
    offset: number,
    total: number,
    visit: (page: number, at: number, done: number, length: number) => void,
  ): void {
    for (let done = 0; done < total;) {
      const at = (offset + done) % PAGE;
      const length = Math.min(PAGE - at, total - done);
      visit(Math.floor((offset + done) / PAGE), at, done, length);
      done += length;
    }
  }
}
