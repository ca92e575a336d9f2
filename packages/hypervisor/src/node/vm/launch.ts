import { closeSync, openSync } from "node:fs";
import { dirname } from "node:path";
import type { Readable } from "node:stream";
import { hypervisorError } from "../../errors.ts";
import { takeStandby } from "../standby/standby-folder.ts";
import { spawnMonitor } from "./monitor-program.ts";
import type { VmFolder } from "./vm-folder.ts";

/**
 * Starts the monitor of a VM: a process that stands by for it, or else a new one; resolves when clients can connect.
 * @param template the one that it goes on from, if it does: a process may have a machine of that ready
 * @throws QZ_HYPERVISOR_VM_START
 */
export async function launchMonitor(folder: VmFolder, template?: string): Promise<void> {
  const home = dirname(dirname(folder.path));
  const line = (await takeStandby(home, folder, template)) ?? (await startProcess(home, folder));
  if (line.trim() !== "ready") throw failure(folder, line);
}

/** @returns what the process said: "ready" or an error. */
async function startProcess(home: string, folder: VmFolder): Promise<string> {
  const log = openSync(folder.log, "a", 0o600);
  try {
    const child = spawnMonitor(home, [folder.path], { cwd: folder.path, log });
    const said = child.stdio[3] as Readable;
    const line = await new Promise<string>((resolve) => {
      let text = "";
      child.once("error", (error) => resolve(JSON.stringify({ code: "", message: error.message })));
      said.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      said.once("error", () => resolve(text));
      said.once("close", () => resolve(text));
    });
    child.unref();
    return line;
  } finally {
    closeSync(log);
  }
}

function failure(folder: VmFolder, line: string): Error {
  let reason = `its process died; see ${folder.log}`;
  try {
    const { message } = JSON.parse(line) as { message: string };
    reason = message;
  } catch {
    // It said nothing.
  }
  return hypervisorError("QZ_HYPERVISOR_VM_START", { id: folder.id, reason });
}
