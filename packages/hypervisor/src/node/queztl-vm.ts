import { readFileSync } from "node:fs";
import { isQueztlError } from "@queztl/errors";
import { parseCommandLine } from "./command-line.ts";
import { GENERAL_HELP, RUN_HELP } from "./help.ts";
import { runCommand } from "./run-command.ts";
import { ExitStatus } from "./run-host.ts";
import type { RunHost } from "./run-host.ts";
import { runVmCommand, vmCommandsHelp } from "./vm-commands.ts";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;

const host: RunHost = {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  onSignal(listener) {
    for (const signal of SIGNALS) process.on(signal, listener);
    return () => {
      for (const signal of SIGNALS) process.off(signal, listener);
    };
  },
};

/** Does what a command line asks for; the status to exit with. */
async function answer(args: readonly string[]): Promise<number> {
  const line = parseCommandLine(args);
  switch (line.command) {
    case "help":
      process.stdout.write(line.of === "run" ? RUN_HELP : GENERAL_HELP + vmCommandsHelp());
      return 0;
    case "version":
      process.stdout.write(`${version()}\n`);
      return 0;
    case "run":
      return runCommand(line.run, host);
    case "vm":
      return runVmCommand(line.name, line.args, host);
  }
}

function version(): string {
  const url = new URL(import.meta.resolve("@queztl/hypervisor/package.json"));
  return (JSON.parse(readFileSync(url, "utf8")) as { version: string }).version;
}

/** An error and what caused it, each a line, for people. */
function describe(error: unknown): string {
  const lines: string[] = [];
  for (let at = error; at instanceof Error && lines.length < 8;) {
    lines.push(isQueztlError(at) ? `${at.message} (${at.code})` : at.message);
    at = at.cause;
  }
  return `queztl-vm: ${lines.join("\n  because: ")}\n`;
}

/** `queztl-vm`, for this process. */
export async function queztlVm(): Promise<void> {
  try {
    process.exitCode = await answer(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(describe(error));
    // Everything coded is found before the guest starts, but for the statistics file.
    process.exitCode = isQueztlError(error) ? ExitStatus.Usage : ExitStatus.Failed;
  }
}
