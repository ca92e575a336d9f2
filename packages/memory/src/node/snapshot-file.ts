import { randomUUID } from "node:crypto";
import { readSync, writeSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { isQueztlError } from "@queztl/errors";
import { memoryError } from "../errors.ts";
import type { GuestMemory } from "../guest-memory.ts";
import type { MemorySnapshot } from "../snapshot-layout.ts";
import {
  finish,
  inspectSnapshot,
  openChain,
  pagesOfIncrements,
  readPages,
  saveMemory,
} from "../snapshot.ts";
import type { MapRun, OpenSnapshot, SaveMemoryOptions, SnapshotSource } from "../snapshot.ts";
import type { HostMemory } from "./host-memory.ts";

/** How to write a snapshot file. */
export interface SnapshotFileOptions extends SaveMemoryOptions {
  /** Waits until the file is on the disk before it gets its name; default true. */
  readonly durable?: boolean;
}

/** How a memory was restored. */
export interface RestoredMemory extends MemorySnapshot {
  /** Whether the files are mapped copy-on-write; they must not change while the guest lives. */
  readonly mapped: boolean;
  /** The id of the first file, the whole snapshot. */
  readonly baseId: string;
  /** Guest-physical addresses of the pages that came from increments: others are as the first file has them. */
  readonly changedPages: readonly number[];
}

/** Parts of a memory that are mappings of their own, at most: Linux allows a process 65,530. */
const MOST_MAPPINGS = 16_000;

/**
 * Saves the RAM to a sparse file: only pages that are not zero take space. The file appears under its name
 * when it is complete, in place of any older one, whose mappings stay what they were.
 * @throws QZ_MEMORY_SNAPSHOT_FILE when it cannot be written, and what `saveMemory` throws.
 */
export async function writeSnapshotFile(
  path: string,
  memory: GuestMemory,
  options: SnapshotFileOptions = {},
): Promise<MemorySnapshot> {
  const partial = `${path}.${randomUUID()}.partial`;
  return attempt(path, async () => {
    try {
      const file = await open(partial, "wx");
      try {
        const write = (position: number, bytes: Uint8Array) => writeAll(file, position, bytes);
        const snapshot = await saveMemory(memory, { write }, options);
        await file.truncate(snapshot.bytes);
        if (options.durable !== false) await file.datasync();
        await file.close();
        await rename(partial, path);
        return snapshot;
      } finally {
        // Closing twice is harmless.
        await file.close();
      }
    } catch (error) {
      await rm(partial, { force: true });
      throw error;
    }
  });
}

/**
 * Restores the RAM from a snapshot file, or from one and its increments, oldest first. With `host`, the files
 * are mapped copy-on-write where the host can: nothing is read before the guest touches it.
 * @throws QZ_MEMORY_SNAPSHOT_FILE when a file cannot be read or is too short, and what `restoreMemory` throws.
 */
export async function restoreSnapshotFile(
  memory: GuestMemory,
  paths: string | readonly string[],
  options: { readonly host?: HostMemory } = {},
): Promise<RestoredMemory> {
  const list = typeof paths === "string" ? [paths] : paths;
  const files: FileHandle[] = [];
  return attempt(list.join(", "), async () => {
    try {
      for (const path of list) files.push(await open(path, "r"));
      const chain = await openChain(memory, files.map(sourceOf));
      for (const [i, { snapshot }] of chain.entries()) {
        // A mapping beyond the file's end would kill the process when it is touched.
        const { size } = await (files[i] as FileHandle).stat();
        if (size < snapshot.bytes)
          throw new Error(`it ends at ${size} of ${snapshot.bytes} bytes: it was cut off`);
      }
      memory.beforeWrite(memory.ramOffset, memory.ramBytes);
      const { imageOffset } = (chain[0] as OpenSnapshot).snapshot;
      const mapped = options.host?.mapRam((files[0] as FileHandle).fd, imageOffset) ?? false;
      let mappings = 0;
      const mapRun: MapRun = (i, offset, length, position) =>
        mapped &&
        ++mappings <= MOST_MAPPINGS &&
        options.host?.mapPart(offset, length, (files[i] as FileHandle).fd, position) === true;
      await readPages(memory, chain, mapped ? 1 : 0, mapRun);
      const changedPages = pagesOfIncrements(memory, chain);
      const baseId = (chain[0] as OpenSnapshot).snapshot.id;
      return { ...finish(memory, chain), mapped, baseId, changedPages };
    } finally {
      for (const file of files) await file.close();
    }
  });
}

/** What a snapshot file says about itself. @throws QZ_MEMORY_SNAPSHOT_FILE, QZ_MEMORY_SNAPSHOT */
export async function inspectSnapshotFile(path: string): Promise<MemorySnapshot> {
  return attempt(path, async () => {
    const file = await open(path, "r");
    try {
      return await inspectSnapshot(sourceOf(file));
    } finally {
      await file.close();
    }
  });
}

/** Up to here a synchronous call is done sooner than an asynchronous one comes back. */
const SMALL = 128 * 1024;

function sourceOf(file: FileHandle): SnapshotSource {
  return {
    async read(position, target) {
      const small = target.length <= SMALL;
      for (let done = 0; done < target.length;) {
        const rest = target.length - done;
        const count = small
          ? readSync(file.fd, target, done, rest, position + done)
          : (await file.read(target, done, rest, position + done)).bytesRead;
        if (count === 0) throw new Error(`it ends at byte ${position + done}: it was cut off`);
        done += count;
      }
    },
  };
}

async function writeAll(file: FileHandle, position: number, bytes: Uint8Array): Promise<void> {
  const small = bytes.length <= SMALL;
  for (let done = 0; done < bytes.length;) {
    const rest = bytes.length - done;
    done += small
      ? writeSync(file.fd, bytes, done, rest, position + done)
      : (await file.write(bytes, done, rest, position + done)).bytesWritten;
  }
}

async function attempt<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (isQueztlError(cause)) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw memoryError("QZ_MEMORY_SNAPSHOT_FILE", { path, reason }, { cause });
  }
}
