import { readFile, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isQueztlError } from "@queztl/errors";
import { HostMemory, restoreSnapshotFile, writeSnapshotFile } from "@queztl/memory/node";
import { hypervisorError } from "../errors.ts";
import { Machine } from "../machine.ts";
import type { MachineSurroundings } from "../machine-options.ts";
import { decodeSnapshot, encodeSnapshot } from "../machine-snapshot.ts";
import type { MachineSnapshot } from "../machine-snapshot.ts";

/** The files of a snapshot's folder: everything but the memory, and the memory. */
const MACHINE_FILE = "machine.json";
const MEMORY_FILE = "memory.snapshot";

interface SnapshotFile {
  readonly machine: MachineSnapshot;
  /** Of which memory file the rest is. */
  readonly memoryId: string;
}

/**
 * Saves a paused machine into a folder, which is made if there is none; a snapshot that is there is replaced. The
 * memory file is sparse. The machine may go on afterwards.
 * @throws QZ_HYPERVISOR_STATE unless it is paused; QZ_HYPERVISOR_SNAPSHOT_FILE, QZ_MEMORY_SNAPSHOT_FILE when the
 * host cannot write.
 */
export async function saveMachine(machine: Machine, folder: string): Promise<void> {
  const state = machine.save();
  await attempt(folder, async () => {
    await mkdir(folder, { recursive: true });
    // Without its first file a folder is no snapshot: a save that is cut off leaves none.
    await rm(join(folder, MACHINE_FILE), { force: true });
    const memory = await writeSnapshotFile(join(folder, MEMORY_FILE), machine.memory);
    const file: SnapshotFile = { machine: state, memoryId: memory.id };
    const partial = join(folder, `${MACHINE_FILE}.partial`);
    await writeFile(partial, encodeSnapshot(file));
    await rename(partial, join(folder, MACHINE_FILE));
  });
}

/**
 * Makes a machine that goes on from a folder of `saveMachine`, paused. Where the host can, its memory is the file,
 * mapped copy-on-write: the file must not change while the machine lives.
 * @throws QZ_HYPERVISOR_SNAPSHOT_FILE, QZ_HYPERVISOR_SNAPSHOT, and what `Machine.restore` throws.
 */
export async function restoreMachine(
  folder: string,
  surroundings: MachineSurroundings,
): Promise<Machine> {
  const bytes = await attempt(folder, () => readFile(join(folder, MACHINE_FILE)));
  const { machine, memoryId } = (decodeSnapshot(bytes) ?? {}) as SnapshotFile;
  return Machine.restore(surroundings, machine, async (memory) => {
    const host = await HostMemory.open(memory);
    const restored = await restoreSnapshotFile(memory, join(folder, MEMORY_FILE), { host });
    if (restored.id === memoryId) return;
    const reason = "its two files are of different snapshots";
    throw hypervisorError("QZ_HYPERVISOR_SNAPSHOT", { reason });
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
