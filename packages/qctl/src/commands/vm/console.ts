import { Flags } from "@oclif/core";
import { consoleAddress } from "@queztl/api/client";
import { QueztlCommand } from "../../command.ts";
import { vmArg } from "../../command-line/args.ts";
import { parseDetachKey } from "../../console/detach-key.ts";
import { takeTerminal } from "../../console/local-terminal.ts";
import { runConsole } from "../../console/session.ts";
import { qctlErrors } from "../../errors.ts";
import { sleep } from "../../session/wait.ts";

const MOST_TRIES = 30;

export default class VmConsole extends QueztlCommand<typeof VmConsole> {
  static override summary = "Sit down at a VM's console";
  static override description =
    "What was shown before comes first. Every key goes to the guest except the detach key, ctrl-] unless told, which leaves the console; the VM goes on. The window's size follows. A lost connection is taken up again.";
  static override aliases = ["vm:attach"];
  static override examples = [
    "<%= config.bin %> vm console web",
    "<%= config.bin %> vm console web --detach-key ctrl-q --scrollback 1000000",
  ];
  static override args = { vm: vmArg };
  static override flags = {
    "detach-key": Flags.string({
      default: "ctrl-]",
      helpValue: "KEY",
      summary: "The key that leaves the console; none for no key",
    }),
    scrollback: Flags.integer({
      default: 65_536,
      min: 0,
      max: 1_048_576,
      helpValue: "BYTES",
      summary: "How much of what was shown before comes first",
    }),
  };

  async run(): Promise<void> {
    const { vm } = this.args;
    const { "detach-key": keyName, scrollback } = this.flags;
    const detachKey = parseDetachKey(keyName);
    if (!process.stdin.isTTY || !process.stdout.isTTY) {
      throw qctlErrors("QZ_QCTL_TERMINAL_MISSING", {
        what: "a console",
        instead: `\`qctl vm logs ${vm}\` shows it, \`qctl vm exec ${vm}\` runs programs`,
      });
    }
    const { target, signal } = this;
    const client = await this.connect(target);
    const grantOf = (scrollbackBytes: number) =>
      client.vm.console.mutate({ vm, ...terminal.size(), scrollbackBytes });
    const terminal = takeTerminal();
    const hint = detachKey === undefined ? "" : `; ${keyName} leaves it, the VM goes on`;
    try {
      let tries = 0;
      for (let shown = scrollback; ; shown = 0) {
        const grant = await grantOf(shown);
        const end = await runConsole({
          address: consoleAddress(target.server, grant),
          input: terminal.input,
          output: process.stdout,
          errorOutput: process.stderr,
          detachKey,
          onResize: terminal.onResize,
          signal,
          onOpen: () => {
            this.say(`${tries === 0 ? "this is the console of" : "again at"} ${vm}${hint}\r`);
            tries = 0;
          },
        });
        if (end.kind === "exit") return this.say(`\r\n${vm} has ended\r`);
        if (end.kind === "detached") return this.say(`\r\nleft ${vm}; it goes on\r`);
        if (end.kind === "refused") throw end.error;
        tries += 1;
        if (tries > MOST_TRIES || signal.aborted) {
          throw qctlErrors("QZ_QCTL_CONSOLE_LOST", { what: vm, problem: end.problem });
        }
        this.say(`\r\nthe connection broke (${end.problem}); trying again\r`);
        await sleep(Math.min(10_000, 250 * 2 ** tries), signal);
      }
    } finally {
      terminal.release();
    }
  }
}
