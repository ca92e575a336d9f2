import { Flags } from "@oclif/core";
import { vmArg, severalFlag } from "../../command-line/args.ts";
import { parsePairs } from "../../command-line/pairs.ts";
import { splitPassthrough } from "../../command-line/passthrough.ts";
import { parseDetachKey } from "../../console/detach-key.ts";
import { ExecCommand } from "../../console/exec-command.ts";
import { QueztlCommand } from "../../command.ts";
import { qctlErrors } from "../../errors.ts";
import { execView } from "../../view/vm.ts";

const LONGEST_COLLECTED_SECONDS = 240;

export default class VmExec extends ExecCommand<typeof VmExec> {
  static override summary = "Run a program in a VM";
  static override description =
    "It ends with the program's exit status; 127 says that the guest has no such program, 255 that it could not be run. No shell looks at the words: give `sh -c '…'` for one. With -o json the output is collected, up to 1 MiB of it and 240 s.";
  static override usage = "vm exec VM [FLAGS] [--] PROGRAM [WORD...]";
  static override examples = [
    "<%= config.bin %> vm exec web uname -a",
    "<%= config.bin %> vm exec web -it -- sh",
    {
      description: "What is piped in goes to the program with -i",
      command: "tar c site | <%= config.bin %> vm exec web -i -- tar x -C /srv",
    },
    "<%= config.bin %> vm exec web -o json -- df -h",
  ];
  static override args = { vm: vmArg };
  static override flags = {
    interactive: Flags.boolean({
      char: "i",
      default: false,
      summary: "Give it this command's standard input",
    }),
    terminal: Flags.boolean({
      char: "t",
      aliases: ["tty"],
      default: false,
      summary: "Run it in a terminal",
    }),
    user: Flags.string({
      char: "u",
      helpValue: "USER",
      summary: "The guest's user; root unless given",
    }),
    directory: Flags.string({
      char: "C",
      aliases: ["workdir"],
      helpValue: "PATH",
      summary: "The directory to run it in",
    }),
    env: severalFlag({ char: "e", helpValue: "KEY=VALUE", summary: "An environment variable" }),
    "detach-key": Flags.string({
      default: "ctrl-]",
      helpValue: "KEY",
      summary: "With --terminal: the key that leaves it running; none for no key",
    }),
  };

  #program: string[] = [];

  protected override async init(): Promise<void> {
    const flags = { ...QueztlCommand.baseFlags, ...VmExec.flags };
    const { own, rest } = splitPassthrough(this.argv, flags, 1);
    this.argv = own;
    this.#program = rest;
    await super.init();
  }

  async run(): Promise<void> {
    const { vm } = this.args;
    const { interactive, terminal, user, directory, env } = this.flags;
    const command = this.#program;
    if (command.length === 0) {
      throw qctlErrors("QZ_QCTL_INPUT_INVALID", {
        field: "a program",
        expected: `given after the VM, such as \`qctl vm exec ${vm} uname -a\`; \`qctl vm shell ${vm}\` opens a shell`,
      });
    }
    const environment = parsePairs(env, "--env");
    const detachKey = parseDetachKey(this.flags["detach-key"]);
    if (this.format !== "text" && !terminal) {
      const limit = Math.min(LONGEST_COLLECTED_SECONDS, this.timeoutSeconds ?? 60);
      const client = await this.connect();
      const result = await client.vm.exec.mutate({
        vm,
        command,
        environment,
        timeoutSeconds: Math.max(1, limit),
        ...(user === undefined ? {} : { user }),
        ...(directory === undefined ? {} : { directory }),
        ...(interactive ? { input: await standardInput() } : {}),
      });
      await this.show(execView, result);
      process.exitCode = result.exitCode ?? 137;
      return;
    }
    const program = { vm, command, user, directory, environment, terminal };
    process.exitCode = await this.runProgram({ ...program, input: interactive, detachKey });
  }
}

async function standardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk as Uint8Array));
  return Buffer.concat(chunks).toString("base64");
}
