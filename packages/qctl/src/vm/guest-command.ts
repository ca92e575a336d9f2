import { PassThrough, type Readable, type Writable } from "node:stream";
import { consoleAddress, type QueztlClient } from "@queztl/api/client";
import { runConsole } from "../console/session.ts";
import { qctlErrors } from "../errors.ts";

/** A program run in a guest for this command's own ends. */
export interface GuestCommand {
  readonly client: QueztlClient;
  readonly server: string;
  readonly vm: string;
  readonly command: readonly string[];
  readonly input?: Readable | undefined;
  readonly output: Writable;
  readonly signal: AbortSignal;
}

const MOST_ERROR_OUTPUT = 2000;

/** Runs it to its end. Throws `QZ_QCTL_PROGRAM_FAILED` with what it wrote to its standard error. */
export async function runInGuest(options: GuestCommand): Promise<void> {
  const { client, server, vm, command, input, output, signal } = options;
  const errorOutput = new PassThrough();
  let said = "";
  errorOutput.on("data", (chunk: Buffer) => {
    if (said.length < MOST_ERROR_OUTPUT) said += chunk.toString("utf8");
  });
  const grant = await client.vm.openExec.mutate({ vm, command: [...command] }, { signal });
  const address = consoleAddress(server, grant);
  const end = await runConsole({ address, input, output, errorOutput, signal });
  if (end.kind === "exit" && end.exitCode === 0) return;
  if (end.kind === "refused") throw end.error;
  if (signal.aborted) throw qctlErrors("QZ_QCTL_INTERRUPTED", { after: "" });
  const problem =
    end.kind === "exit"
      ? said.trim() || `exit status ${end.exitCode}`
      : end.kind === "lost"
        ? end.problem
        : "it was let go";
  throw qctlErrors("QZ_QCTL_PROGRAM_FAILED", { program: command[0] ?? "", vm, problem });
}
