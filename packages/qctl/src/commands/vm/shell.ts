import { Flags } from "@oclif/core";
import { vmArg } from "../../command-line/args.ts";
import { parseDetachKey } from "../../console/detach-key.ts";
import { ExecCommand } from "../../console/exec-command.ts";

// bash where the image has it.
const LOGIN_SHELL = ["sh", "-c", "command -v bash >/dev/null && exec bash -l || exec sh -l"];

export default class VmShell extends ExecCommand<typeof VmShell> {
  static override summary = "Open a shell in a VM";
  static override aliases = ["vm:sh", "vm:ssh", "vm:enter", "ssh"];
  static override examples = [
    "<%= config.bin %> vm shell web",
    "echo 'uname -a' | <%= config.bin %> vm shell web",
  ];
  static override args = { vm: vmArg };
  static override flags = {
    user: Flags.string({
      char: "u",
      helpValue: "USER",
      summary: "The guest's user; root unless given",
    }),
    "detach-key": Flags.string({
      default: "ctrl-]",
      helpValue: "KEY",
      summary: "The key that leaves the shell running; none for no key",
    }),
  };

  async run(): Promise<void> {
    const terminal = process.stdin.isTTY && process.stdout.isTTY;
    process.exitCode = await this.runProgram({
      vm: this.args.vm,
      command: terminal ? LOGIN_SHELL : ["sh"],
      user: this.flags.user,
      directory: "/root",
      input: true,
      terminal,
      detachKey: parseDetachKey(this.flags["detach-key"]),
    });
  }
}
