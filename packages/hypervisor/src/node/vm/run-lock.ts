import { randomUUID } from "node:crypto";
import { link, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { hypervisorError } from "../../errors.ts";
import { identify, isAlive, processIdentitySchema } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import { nothingThere, readIfThere, systemCode } from "./vm-folder.ts";

const LOCK = /^run-(\d{1,9})\.lock$/;

/** A run of a VM: its number, and the process that is its monitor. */
export interface VmRun {
  readonly run: number;
  readonly monitor: ProcessIdentity;
  /** Whether that process runs. */
  readonly alive: boolean;
}

/** The last run of the VM in a folder; undefined when no monitor ever had it. */
export async function lastRun(folder: string): Promise<VmRun | undefined> {
  // A lock is removed only after a later one is there, so that looking again finds one.
  for (;;) {
    const run = (await runs(folder)).at(-1);
    if (run === undefined) return undefined;
    const text = await readIfThere(lockPath(folder, run));
    if (text === undefined) continue;
    const monitor = processIdentitySchema.parse(JSON.parse(text));
    return { run, monitor, alive: await isAlive(monitor) };
  }
}

/**
 * Makes this process the monitor of the VM in a folder, until it ends. Every run has a number of its own, so that a
 * lock left by a dead process need not be broken, which two could do at once.
 * @throws QZ_HYPERVISOR_VM_STATE when another monitor has it.
 */
export async function claimRun(folder: string): Promise<number> {
  const former = await lastRun(folder);
  if (former?.alive) throw taken();
  const run = (former?.run ?? 0) + 1;
  const mine = join(folder, `.run-${randomUUID()}`);
  const path = lockPath(folder, run);
  try {
    // Linked when it is complete: who reads a lock reads all of it.
    await writeFile(mine, JSON.stringify(await identify(process.pid)), { mode: 0o600 });
    await link(mine, path);
  } catch (cause) {
    // Whoever has the run meanwhile removes what others left.
    throw ["EEXIST", "ENOENT"].includes(systemCode(cause) ?? "") ? taken() : cause;
  } finally {
    await rm(mine, { force: true });
  }
  const all = await runs(folder);
  if (all.at(-1) !== run) {
    // While this process was slow, later ones came and went.
    await rm(path, { force: true });
    throw taken();
  }
  for (const old of all.slice(0, -1)) await rm(lockPath(folder, old), { force: true });
  return run;
}

function taken(): Error {
  return hypervisorError("QZ_HYPERVISOR_VM_STATE", {
    state: "run by another monitor",
    operation: "start",
    wanted: "stopped",
  });
}

async function runs(folder: string): Promise<number[]> {
  const names = await readdir(folder).catch(nothingThere<string[]>([]));
  return names
    .flatMap((name) => LOCK.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

function lockPath(folder: string, run: number): string {
  return join(folder, `run-${run}.lock`);
}
