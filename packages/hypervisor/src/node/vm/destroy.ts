import { randomUUID } from "node:crypto";
import { readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { hypervisorError } from "../../errors.ts";
import { GONE, NEW } from "./create-folder.ts";
import { identify, isAlive } from "./process-identity.ts";
import { lastRun } from "./run-lock.ts";
import type { VmFolder } from "./vm-folder.ts";
import { nothingThere, systemCode, vmsFolder } from "./vm-folder.ts";

const POLL_MS = 5;
/** A process that SIGKILL does not end waits for a disk; it is left alone after that. */
const DEADLINE_MS = 10_000;

/** Ends a VM's monitor, if it runs, and removes its folder with all that is in it. @throws QZ_HYPERVISOR_VM_UNKNOWN */
export async function destroyVm(home: string, folder: VmFolder): Promise<void> {
  // First nobody finds it any more: then nothing can be started in it. Its process does not notice.
  const gone = join(vmsFolder(home), `${GONE}${folder.id}-${randomUUID()}`);
  try {
    await rename(folder.path, gone);
  } catch (cause) {
    if (systemCode(cause) !== "ENOENT") throw cause;
    throw hypervisorError("QZ_HYPERVISOR_VM_UNKNOWN", { id: folder.id }, { cause });
  }
  await remove(gone);
}

/** Finishes what processes that died had begun to make or to remove. */
export async function sweepVms(home: string): Promise<void> {
  const place = vmsFolder(home);
  for (const name of await readdir(place).catch(nothingThere<string[]>([]))) {
    if (name.startsWith(GONE)) await remove(join(place, name));
    if (!name.startsWith(NEW)) continue;
    const maker = Number(name.slice(NEW.length).split("-")[0]);
    if ((await identify(maker)) === undefined)
      await rm(join(place, name), { recursive: true, force: true });
  }
}

async function remove(path: string): Promise<void> {
  const run = await lastRun(path);
  if (run?.alive) {
    await killMonitor(run.monitor.pid);
    const deadline = performance.now() + DEADLINE_MS;
    while ((await isAlive(run.monitor)) && performance.now() < deadline) await sleep(POLL_MS);
  }
  // A file may come to be while the folder is emptied, once.
  await rm(path, { recursive: true, force: true, maxRetries: 3 });
}

async function killMonitor(pid: number): Promise<void> {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    // It ended by itself.
    if (systemCode(error) !== "ESRCH") throw error;
  }
  await Promise.resolve();
}
