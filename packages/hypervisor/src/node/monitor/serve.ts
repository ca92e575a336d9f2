import { readFile } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { isQueztlError } from "@queztl/errors";
import { claimRun } from "../vm/run-lock.ts";
import { parseVmConfig } from "../vm/vm-config.ts";
import { VmFolder } from "../vm/vm-folder.ts";
import { giveBackAtRest } from "./give-back-memory.ts";
import type { WarmGuest } from "../standby/warm-guest.ts";
import { Monitor } from "./monitor.ts";

/**
 * Makes this process the monitor of the VM in a folder, until that is over.
 * @param tellStarter hears whether it did: "ready", or the error as JSON.
 * @param warm a machine that the VM may go on with, if it fits; its files are in the directory of this process.
 */
export async function serveVm(
  path: string,
  tellStarter: (line: string) => void,
  warm?: WarmGuest,
): Promise<void> {
  try {
    const place = resolve(path);
    const folder = new VmFolder(dirname(dirname(place)), basename(place));
    const config = parseVmConfig(folder.config, await readFile(folder.config, "utf8"));
    const run = await claimRun(place);
    const fits = run === 1 && warm?.fits(config) === true;
    // Before anybody hears of the VM: then what it is taken from is removed.
    await (fits ? warm.moveDisks(place) : warm?.discard());
    // The control socket's path is relative, for the whole one may be too long.
    process.chdir(place);
    const monitor = await Monitor.open(config, folder, run, fits ? warm : undefined);
    // A terminal that closes is nothing to a VM.
    process.on("SIGHUP", () => undefined);
    for (const signal of ["SIGTERM", "SIGINT"] as const)
      process.on(signal, () => void monitor.stop(0, { reason: "stopped", message: signal }));
    tellStarter("ready");
    giveBackAtRest();
    await monitor.start();
    await monitor.ended;
  } catch (error) {
    const code = isQueztlError(error) ? error.code : "";
    const message = error instanceof Error ? error.message : String(error);
    tellStarter(JSON.stringify({ code, message }));
    process.stderr.write(`queztl-monitor: ${message}\n`);
    process.exitCode = 1;
    await warm?.discard();
  }
}
