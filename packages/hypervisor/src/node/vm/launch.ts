import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { hypervisorError } from "../../errors.ts";
import type { VmFolder } from "./vm-folder.ts";

/** In a checkout the monitor runs from its sources, as this module does. */
const FROM_SOURCE = import.meta.url.endsWith(".ts");
const PROGRAM = fileURLToPath(
  new URL(`../monitor/main.${FROM_SOURCE ? "ts" : "js"}`, import.meta.url),
);
const FLAGS = FROM_SOURCE ? ["--conditions=@queztl/source"] : [];
/** All that a monitor gets of its starter's environment, which may hold secrets. */
const VARIABLES = ["PATH", "HOME", "TMPDIR", "TEMP", "TMP", "SystemRoot", "LANG", "TZ"];

/**
 * Starts the monitor of a VM as a process of its own, in a session of its own; resolves when clients can connect.
 * @throws QZ_HYPERVISOR_VM_START
 */
export async function launchMonitor(folder: VmFolder): Promise<void> {
  const log = openSync(folder.log, "a", 0o600);
  try {
    const child = spawn(process.execPath, [...FLAGS, PROGRAM, folder.path], {
      cwd: folder.path,
      detached: true,
      stdio: ["ignore", log, log, "pipe"],
      windowsHide: true,
      env: Object.fromEntries(
        VARIABLES.flatMap((name) => {
          const value = process.env[name];
          return value === undefined ? [] : [[name, value]];
        }),
      ),
    });
    const said = child.stdio[3] as Readable;
    const line = await new Promise<string>((resolve) => {
      let text = "";
      child.once("error", (error) => resolve(JSON.stringify({ code: "", message: error.message })));
      said.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      said.once("error", () => resolve(text));
      said.once("close", () => resolve(text));
    });
    child.unref();
    if (line.trim() === "ready") return;
    throw failure(folder, line);
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
