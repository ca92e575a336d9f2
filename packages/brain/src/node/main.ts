import { isQueztlError } from "@queztl/errors";

import { fault } from "../errors.ts";
import { classifyCommand } from "./classify.ts";
import { replayCommand } from "./replay-command.ts";

interface Command {
  readonly summary: string;
  readonly run: (args: readonly string[]) => string | Promise<string>;
}

const COMMANDS = new Map<string, Command>([
  ["replay", { summary: "replay recorded tasks against memory policies", run: replayCommand }],
  ["classify", { summary: "say what a described task is about, and why", run: classifyCommand }],
]);

/** What the `queztl-brain` command was asked to print, and the status to exit with. */
export interface CommandResult {
  readonly output: string;
  readonly error: string;
  readonly exitCode: number;
}

/** Runs the `queztl-brain` command line on the arguments that follow its name. */
export async function runCommand(args: readonly string[]): Promise<CommandResult> {
  const [name, ...rest] = args;
  if (name === undefined || name === "--help" || name === "-h") {
    return { output: help(), error: "", exitCode: 0 };
  }
  try {
    const command = COMMANDS.get(name);
    if (command === undefined) {
      throw fault("QZ_BRAIN_USAGE", { problem: `there is no command called ${name}` });
    }
    return { output: await command.run(rest), error: "", exitCode: 0 };
  } catch (error) {
    if (!isQueztlError(error)) throw error;
    return { output: "", error: `${error.code}: ${error.message}`, exitCode: 2 };
  }
}

function help(): string {
  const lines = Array.from(COMMANDS, ([name, { summary }]) => `  ${name.padEnd(10)} ${summary}`);
  return `Usage: queztl-brain COMMAND [options]\n\n${lines.join("\n")}\n\nqueztl-brain COMMAND --help says more.`;
}
