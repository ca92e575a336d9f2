import { createHash } from "node:crypto";
import { link, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Socket } from "node:net";
import { connectIn } from "../vm/control-socket.ts";
import { PROGRAM } from "../vm/monitor-program.ts";
import { lastRun } from "../vm/run-lock.ts";
import type { VmFolder } from "../vm/vm-folder.ts";

/** The socket of a process that stands by, in its folder. */
export const SOCKET = "standby.sock";
/** What is known of who keeps it: when that ends, it ends. */
export const OWNER = "owner.json";
export const LOG = "monitor.log";

/** How the names of folders begin: being made ready, ready, and taken by a VM. */
export const WARMING = "warming";
export const READY = "ready";
const TAKEN = "taken";

/** Processes that run the same program, by the same Node.js. */
const KIND = createHash("sha256").update(`${PROGRAM} ${process.version}`).digest("hex");

/** What follows the state in the name of a folder: the program, the template of its machine, and what tells it from others. */
export function standbyName(template: string, unique: string): string {
  return `${KIND.slice(0, 8)}-${template.slice(-16)}-${unique}`;
}

/** The folder with a folder for each process that stands by. */
export function standbysFolder(home: string): string {
  return join(home, "standby");
}

/**
 * Has a process that stands by become the monitor of a VM: one with a machine of that template rather than another.
 * @returns what it said: "ready" or an error; undefined where none stands by.
 */
export async function takeStandby(
  home: string,
  vm: VmFolder,
  template?: string,
): Promise<string | undefined> {
  const place = standbysFolder(home);
  const ready = (await readdir(place).catch(() => [])).filter((name) =>
    name.startsWith(`${READY}-${KIND.slice(0, 8)}-`),
  );
  const fits = (name: string): boolean =>
    template !== undefined && name.startsWith(`${READY}-${standbyName(template, "")}`);
  for (const name of [...ready.filter(fits), ...ready.filter((name) => !fits(name))]) {
    const taken = join(place, name.replace(READY, TAKEN));
    try {
      await rename(join(place, name), taken);
    } catch {
      // Another was first.
      continue;
    }
    try {
      const socket = await connectIn(taken, SOCKET).catch(() => undefined);
      // Its process died.
      if (!socket) continue;
      // What it writes goes into the VM's folder from now on.
      await rm(vm.log, { force: true });
      await link(join(taken, LOG), vm.log).catch(() => undefined);
      const line = await become(socket, vm);
      // One that died before it took the VM up has done nothing to it.
      if (line !== "" || (await lastRun(vm.path)) !== undefined) return line;
    } finally {
      await rm(taken, { recursive: true, force: true });
    }
  }
  return undefined;
}

/** Resolves with all that it says, which is nothing if it dies. */
function become(socket: Socket, vm: VmFolder): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    socket.once("error", () => resolve(text));
    socket.once("close", () => resolve(text));
    socket.write(`${JSON.stringify({ vm: vm.path })}\n`);
  });
}
