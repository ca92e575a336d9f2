import { readFile } from "node:fs/promises";

/** Bytes of this process's memory that no other process shares; undefined where the host does not tell. */
export async function privateBytes(): Promise<number | undefined> {
  try {
    const text = await readFile("/proc/self/smaps_rollup", "latin1");
    const fields = [...text.matchAll(/^Private_(?:Clean|Dirty):\s+(\d+) kB$/gm)];
    return fields.reduce((sum, [, kib]) => sum + Number(kib) * 1024, 0);
  } catch {
    return undefined;
  }
}
