import { readVector, writeVector } from "@queztl/virtio";
import type { BlockBackend } from "@queztl/virtio";
import { hypervisorError } from "../../errors.ts";

/**
 * A drive of a running machine into which disks are put and taken out. The guest sees a block device all the time, of
 * no size while the drive is empty.
 */
export class DiskDrive implements BlockBackend {
  readonly readOnly = false;
  /** Told when the size changed. */
  onChange: () => void = () => undefined;
  #disk: BlockBackend | undefined;
  readonly #running = new Set<Promise<unknown>>();

  get capacity(): number {
    return this.#disk?.capacity ?? 0;
  }

  get loaded(): boolean {
    return this.#disk !== undefined;
  }

  /** Puts a disk in; it is closed with the drive, or when it is taken out. @throws QZ_HYPERVISOR_VM_STATE when one is in it */
  insert(disk: BlockBackend): void {
    if (this.#disk) throw wrongState("loaded", "empty");
    this.#disk = disk;
    this.onChange();
  }

  /** Takes the disk out, when what the guest asked of it is done and durable. @throws QZ_HYPERVISOR_VM_STATE when there is none */
  async eject(): Promise<void> {
    const disk = this.#disk;
    if (!disk) throw wrongState("empty", "loaded");
    this.#disk = undefined;
    this.onChange();
    await Promise.allSettled(this.#running);
    try {
      await disk.flush();
    } finally {
      await disk.close();
    }
  }

  read(offset: number, target: Uint8Array): Promise<void> {
    return this.#do((disk) => disk.read(offset, target));
  }

  write(offset: number, source: Uint8Array): Promise<void> {
    return this.#do((disk) => disk.write(offset, source));
  }

  readVector(offset: number, targets: readonly Uint8Array[]): Promise<void> {
    return this.#do((disk) => readVector(disk, offset, targets));
  }

  readCached(offset: number, targets: readonly Uint8Array[]): boolean {
    return this.#disk?.readCached?.(offset, targets) === true;
  }

  writeVector(offset: number, sources: readonly Uint8Array[]): Promise<void> {
    return this.#do((disk) => writeVector(disk, offset, sources));
  }

  /** Of an empty drive there is nothing to flush. */
  async flush(): Promise<void> {
    if (this.#disk) await this.#do((disk) => disk.flush());
  }

  discard(offset: number, length: number): Promise<void> {
    return this.#do((disk) => disk.discard(offset, length));
  }

  writeZeroes(offset: number, length: number, unmap: boolean): Promise<void> {
    return this.#do((disk) => disk.writeZeroes(offset, length, unmap));
  }

  async close(): Promise<void> {
    await this.#disk?.close();
    this.#disk = undefined;
  }

  async #do(work: (disk: BlockBackend) => Promise<void>): Promise<void> {
    const disk = this.#disk;
    if (!disk) throw wrongState("empty", "loaded");
    const running = work(disk);
    this.#running.add(running);
    try {
      await running;
    } finally {
      this.#running.delete(running);
    }
  }
}

function wrongState(state: string, wanted: string): Error {
  return hypervisorError("QZ_HYPERVISOR_VM_STATE", {
    state: `one whose drive is ${state}`,
    operation: "this",
    wanted: `one whose drive is ${wanted}`,
  });
}
