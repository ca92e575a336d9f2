import { lstat, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { nothingThere } from "../vm/vm-folder.ts";

/** The folder in a VM's folder that its snapshots are in. */
export const SNAPSHOTS = "snapshots";

const LEFTOVER = /^\.run-|\.partial$/;

/** Removes what earlier monitors of a VM, killed amid it, had begun to write. Only for who has the VM's run. */
export async function removePartials(folder: string): Promise<void> {
  for (const place of [folder, join(folder, SNAPSHOTS)]) {
    for (const name of await readdir(place).catch(nothingThere<string[]>([]))) {
      if (LEFTOVER.test(name)) await rm(join(place, name), { recursive: true, force: true });
    }
  }
}

/** Bytes that all files below a folder take on the disk; 0 when it is not there. */
export async function bytesIn(folder: string): Promise<number> {
  let bytes = 0;
  const entries = await readdir(folder, { withFileTypes: true }).catch(nothingThere([]));
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) bytes += await bytesIn(path);
    else bytes += (await lstat(path)).blocks * 512;
  }
  return bytes;
}
