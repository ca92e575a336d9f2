import type { Command } from "@oclif/core";
import { consoleAddress } from "@queztl/api/client";
import { QueztlCommand } from "../command.ts";
import { qctlErrors } from "../errors.ts";
import { EXIT_CODES } from "../exit-codes.ts";
import type { Report } from "../failure.ts";
import { type RawTerminal, takeTerminal } from "./local-terminal.ts";
import { type ConsoleEnd, runConsole } from "./session.ts";

/** A program to run in a VM. */
export interface Program {
  readonly vm: string;
  readonly command: readonly string[];
  readonly user?: string | undefined;
  readonly directory?: string | undefined;
  readonly environment?: Readonly<Record<string, string>>;
  /** Whether it reads this command's standard input. */
  readonly input: boolean;
  /** Whether it runs in a terminal. */
  readonly terminal: boolean;
  readonly detachKey?: number | undefined;
}

/** A command that ends as a program in a VM did; its own failures end with a code of their own. */
export abstract class ExecCommand<Class extends typeof Command> extends QueztlCommand<Class> {
  /** Runs a program with this command's input and output; gives its exit status. */
  protected async runProgram(program: Program): Promise<number> {
    const { vm, command, user, directory, environment = {}, input, terminal, detachKey } = program;
    if (terminal && (!process.stdin.isTTY || !process.stdout.isTTY)) {
      throw qctlErrors("QZ_QCTL_TERMINAL_MISSING", {
        what: "a program in a terminal",
        instead: "leave --terminal out",
      });
    }
    const { target, signal } = this;
    const client = await this.connect(target);
    const taken: RawTerminal | undefined = terminal ? takeTerminal() : undefined;
    try {
      const grant = await client.vm.openExec.mutate({
        vm,
        command: [...command],
        environment: {
          ...(terminal ? { TERM: process.env["TERM"] ?? "xterm" } : {}),
          ...environment,
        },
        terminal,
        ...taken?.size(),
        ...(user === undefined ? {} : { user }),
        ...(directory === undefined ? {} : { directory }),
      });
      const end = await runConsole({
        address: consoleAddress(target.server, grant),
        input: taken?.input ?? (input ? process.stdin : undefined),
        output: process.stdout,
        errorOutput: process.stderr,
        detachKey,
        ...(taken === undefined ? {} : { onResize: taken.onResize }),
        signal,
      });
      return this.statusOf(end, vm);
    } finally {
      taken?.release();
    }
  }

  private statusOf(end: ConsoleEnd, vm: string): number {
    switch (end.kind) {
      case "exit":
        return end.exitCode;
      case "refused":
        throw end.error;
      case "lost":
        throw qctlErrors("QZ_QCTL_CONSOLE_LOST", { what: vm, problem: end.problem });
      case "detached":
        if (this.signal.aborted) {
          throw qctlErrors("QZ_QCTL_INTERRUPTED", { after: `; the program in ${vm} may go on` });
        }
        this.say(`\r\nleft ${vm}; the program goes on\r`);
        return 0;
    }
  }

  protected override exitCodeFor({ code }: Report): number {
    const missing = code === "QZ_HYPERVISOR_AGENT_COMMAND";
    return EXIT_CODES[missing ? "program-missing" : "exec-failed"].code;
  }
}
