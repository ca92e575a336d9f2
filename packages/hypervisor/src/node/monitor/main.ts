#!/usr/bin/env node
/** The process of one VM: `queztl-monitor FOLDER`, started by `Vm.create` and `Vm.start`. */
import { closeSync, writeSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { isQueztlError } from "@queztl/errors";
import { claimRun } from "../vm/run-lock.ts";
import { parseVmConfig } from "../vm/vm-config.ts";
import { VmFolder } from "../vm/vm-folder.ts";
import { Monitor } from "./monitor.ts";

/** Where the process that starts a monitor hears whether it did: one line, "ready" or an error. */
const STARTER = 3;

function tellStarter(line: string): void {
  try {
    writeSync(STARTER, `${line}\n`);
    closeSync(STARTER);
  } catch {
    // It did not wait, or it is gone.
  }
}

async function main(path: string): Promise<void> {
  const place = resolve(path);
  // The control socket's path is relative, for the whole one may be too long.
  process.chdir(place);
  const folder = new VmFolder(dirname(dirname(place)), basename(place));
  const config = parseVmConfig(folder.config, await readFile(folder.config, "utf8"));
  const run = await claimRun(place);
  const monitor = await Monitor.open(config, folder, run);
  // A terminal that closes is nothing to a VM.
  process.on("SIGHUP", () => undefined);
  for (const signal of ["SIGTERM", "SIGINT"] as const)
    process.on(signal, () => void monitor.stop(0, { reason: "stopped", message: signal }));
  tellStarter("ready");
  await monitor.start();
  await monitor.ended;
}

try {
  await main(process.argv[2] ?? ".");
} catch (error) {
  const code = isQueztlError(error) ? error.code : "";
  const message = error instanceof Error ? error.message : String(error);
  tellStarter(JSON.stringify({ code, message }));
  process.stderr.write(`queztl-monitor: ${message}\n`);
  process.exitCode = 1;
}
