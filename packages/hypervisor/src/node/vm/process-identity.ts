import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { z } from "zod";

/** A process, and when it began: a later process with the same number is another one. */
export const processIdentitySchema = z.strictObject({
  pid: z.int().min(1),
  /** Linux: the boot's id and the clock tick the process began at; elsewhere what `ps` tells. */
  began: z.string(),
});

export type ProcessIdentity = z.infer<typeof processIdentitySchema>;

/** The process with that number now; undefined when there is none. */
export async function identify(pid: number): Promise<ProcessIdentity | undefined> {
  const began = process.platform === "linux" ? await beganOnLinux(pid) : await beganByPs(pid);
  return began === undefined ? undefined : { pid, began };
}

/** Whether that very process runs; one that has ended and waits for its parent to take note does not. */
export async function isAlive({ pid, began }: ProcessIdentity): Promise<boolean> {
  return (await identify(pid))?.began === began;
}

async function beganOnLinux(pid: number): Promise<string | undefined> {
  try {
    const [stat, boot] = await Promise.all([
      readFile(`/proc/${pid}/stat`, "latin1"),
      readFile("/proc/sys/kernel/random/boot_id", "latin1"),
    ]);
    // The program's name, in brackets, may hold anything.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [state] = fields;
    return state === "Z" || state === "X" ? undefined : `${boot.trim()} ${fields[19]}`;
  } catch {
    return undefined;
  }
}

async function beganByPs(pid: number): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)("ps", ["-o", "lstart=", "-p", String(pid)]);
    return stdout.trim() || undefined;
  } catch {
    return undefined;
  }
}
