import { renameSync } from "node:fs";
import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";

/** How much may wait for a slow disk. */
const MAX_WAITING_BYTES = 256 * 1024;

/**
 * A file of what a guest wrote that cannot fill the disk: at half of its limit it becomes FILE.1, in place of an
 * older one, and a new one is begun.
 */
export class CappedLog {
  readonly #path: string;
  readonly #half: number;
  readonly #onRoom: () => void;
  #file: FileHandle | undefined;
  #bytes = 0;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | undefined;
  #full = false;

  private constructor(path: string, limit: number, onRoom: () => void) {
    this.#path = path;
    this.#half = Math.floor(limit / 2);
    this.#onRoom = onRoom;
  }

  /**
   * @param limit the most bytes both files may take.
   * @param onRoom called when there is room again after `write` returned false.
   */
  static async open(path: string, limit: number, onRoom: () => void): Promise<CappedLog> {
    const log = new CappedLog(path, limit, onRoom);
    log.#file = await open(path, "a", 0o600);
    log.#bytes = (await log.#file.stat()).size;
    return log;
  }

  /** Takes the bytes; false asks for no more until `onRoom`. A disk that cannot be written to loses them. */
  write(bytes: Uint8Array): boolean {
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    this.#writing ??= this.#drain();
    if (this.#waitingBytes < MAX_WAITING_BYTES) return true;
    this.#full = true;
    return false;
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#file?.close();
    this.#file = undefined;
  }

  async #drain(): Promise<void> {
    // The guest writes byte by byte: what it does in one slice goes together.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waitingBytes > 0) {
      const bytes = Buffer.concat(this.#waiting);
      this.#waiting = [];
      this.#waitingBytes = 0;
      await this.#append(bytes).catch(() => undefined);
      if (!this.#full) continue;
      this.#full = false;
      this.#onRoom();
    }
    this.#writing = undefined;
  }

  async #append(bytes: Uint8Array): Promise<void> {
    let rest = bytes;
    while (rest.length > 0) {
      if (this.#bytes >= this.#half) await this.#turnOver();
      const part = rest.subarray(0, this.#half - this.#bytes);
      this.#bytes += part.length;
      await this.#file?.appendFile(part);
      rest = rest.subarray(part.length);
    }
  }

  async #turnOver(): Promise<void> {
    await this.#file?.close();
    renameSync(this.#path, `${this.#path}.1`);
    this.#file = await open(this.#path, "a", 0o600);
    this.#bytes = 0;
  }
}
