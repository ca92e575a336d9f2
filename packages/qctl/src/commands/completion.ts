import { Args } from "@oclif/core";
import { QueztlCommand } from "../command.ts";
import { completionScript, SHELLS } from "../completion/shells.ts";

export default class Completion extends QueztlCommand<typeof Completion> {
  static override summary = "Print what a shell loads to complete commands, flags and names";
  static override examples = [
    {
      description: "For this bash, and for those to come",
      command:
        "source <(<%= config.bin %> completion bash)\necho 'source <(<%= config.bin %> completion bash)' >> ~/.bashrc",
    },
    { description: "zsh", command: "source <(<%= config.bin %> completion zsh)" },
    {
      description: "fish",
      command:
        "<%= config.bin %> completion fish > ~/.config/fish/completions/<%= config.bin %>.fish",
    },
  ];
  static override args = {
    shell: Args.string({ required: true, options: [...SHELLS], description: "The shell" }),
  };

  async run(): Promise<void> {
    const shell = SHELLS.find((each) => each === this.args.shell) ?? "bash";
    this.write(completionScript(shell, this.config.bin));
  }
}
