import { constants } from "node:fs";
import { copyFile, link, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isQueztlError } from "@queztl/errors";
import type { GuestMemory } from "@queztl/memory";
import {
  HostMemory,
  inspectSnapshotFile,
  restoreSnapshotFile,
  writeSnapshotFile,
} from "@queztl/memory/node";
import { hypervisorError } from "../errors.ts";
import { Machine } from "../machine.ts";
import type { MachineSurroundings } from "../machine-options.ts";
import { decodeSnapshot, encodeSnapshot } from "../machine-snapshot.ts";
import type { MachineSnapshot } from "../machine-snapshot.ts";

/** The files of a snapshot's folder: everything but the memory, the memory, and what that is an increment of. */
const MACHINE_FILE = "machine.json";
const MEMORY_FILE = "memory.snapshot";
const BASE_FILE = "base.snapshot";

/** All files that a snapshot's folder may have. */
export const SNAPSHOT_FILES: readonly string[] = [MACHINE_FILE, MEMORY_FILE, BASE_FILE];

interface SnapshotFile {
  readonly machine: MachineSnapshot;
  /** Of which memory file the rest is. */
  readonly memoryId: string;
  /** The memory file is an increment of another in the same folder. */
  readonly baseId?: string;
}

/** How a machine is saved. */
export interface SaveMachineOptions {
  /**
   * Stores only the pages that differ from the snapshot which the machine's memory is mapped from, and makes a hard
   * link to that: much sooner done. Where the memory is not mapped, or no link can be made, all is stored. Default false.
   */
  readonly share?: boolean;
  /** Waits until the files are on the disk; default true. */
  readonly durable?: boolean;
}

/** What a machine's memory is mapped from. */
interface Origin {
  readonly host: HostMemory;
  readonly baseId: string;
  readonly basePath: string;
  /** Pages in which the increment that it was restored from differs from the base. */
  readonly changedPages: readonly number[];
}

const origins = new WeakMap<GuestMemory, Origin>();

/**
 * Saves a paused machine into a folder, which is made if there is none; a snapshot that is there is replaced. The
 * memory file is sparse. The machine may go on afterwards.
 * @throws QZ_HYPERVISOR_STATE unless it is paused; QZ_HYPERVISOR_SNAPSHOT_FILE, QZ_MEMORY_SNAPSHOT_FILE when the
 * host cannot write.
 */
export async function saveMachine(
  machine: Machine,
  folder: string,
  options: SaveMachineOptions = {},
): Promise<void> {
  const { share = false, durable = true } = options;
  const state = machine.save();
  await attempt(folder, async () => {
    await mkdir(folder, { recursive: true });
    // Without its first file a folder is no snapshot: a save that is cut off leaves none.
    await rm(join(folder, MACHINE_FILE), { force: true });
    const increment = share ? await linkBase(machine.memory, folder) : undefined;
    if (increment === undefined) await rm(join(folder, BASE_FILE), { force: true });
    const memory = await writeSnapshotFile(join(folder, MEMORY_FILE), machine.memory, {
      durable,
      ...(increment && { increment }),
    });
    const file: SnapshotFile = {
      machine: state,
      memoryId: memory.id,
      ...(increment && { baseId: increment.parent }),
    };
    const partial = join(folder, `${MACHINE_FILE}.partial`);
    await writeFile(partial, encodeSnapshot(file), { flush: durable });
    await rename(partial, join(folder, MACHINE_FILE));
  });
}

/**
 * Brings a file that never changes into another folder: linked, so that it takes no room and outlives the other; copied
 * where the host cannot link.
 */
export async function shareFile(from: string, to: string): Promise<void> {
  await rm(to, { force: true });
  try {
    await link(from, to);
  } catch {
    await copyFile(from, to, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
  }
}

/** Links what a memory is mapped from into a folder. @returns what to store beside it. */
async function linkBase(
  memory: GuestMemory,
  folder: string,
): Promise<{ parent: string; pages: number[] } | undefined> {
  const origin = origins.get(memory);
  const own = origin?.host.ownPages();
  if (origin === undefined || own === undefined) return undefined;
  const to = join(folder, BASE_FILE);
  try {
    if (to !== origin.basePath) {
      await rm(to, { force: true });
      await link(origin.basePath, to);
    }
    // Another file may have taken its place since it was mapped.
    if ((await inspectSnapshotFile(to)).id !== origin.baseId) return undefined;
  } catch {
    return undefined;
  }
  return { parent: origin.baseId, pages: [...new Set([...origin.changedPages, ...own])] };
}

/**
 * Makes a machine that goes on from a folder of `saveMachine`, paused. Where the host can, its memory is the folder's
 * files, mapped copy-on-write: they must not change while the machine lives, but may be removed.
 * @throws QZ_HYPERVISOR_SNAPSHOT_FILE, QZ_HYPERVISOR_SNAPSHOT, and what `Machine.restore` throws.
 */
export async function restoreMachine(
  folder: string,
  surroundings: MachineSurroundings,
): Promise<Machine> {
  const bytes = await attempt(folder, () => readFile(join(folder, MACHINE_FILE)));
  const { machine, memoryId, baseId } = (decodeSnapshot(bytes) ?? {}) as SnapshotFile;
  return Machine.restore(surroundings, machine, async (memory) => {
    const host = await HostMemory.open(memory);
    const files = baseId === undefined ? [MEMORY_FILE] : [BASE_FILE, MEMORY_FILE];
    const paths = files.map((file) => join(folder, file));
    const restored = await restoreSnapshotFile(memory, paths, { host });
    if (restored.id !== memoryId) {
      const reason = "its files are of different snapshots";
      throw hypervisorError("QZ_HYPERVISOR_SNAPSHOT", { reason });
    }
    if (restored.mapped) origins.set(memory, { ...restored, host, basePath: paths[0] as string });
  });
}

async function attempt<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (isQueztlError(cause)) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw hypervisorError("QZ_HYPERVISOR_SNAPSHOT_FILE", { path, reason }, { cause });
  }
}
