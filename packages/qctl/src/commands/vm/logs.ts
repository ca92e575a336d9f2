import { vmArg } from "../../command-line/args.ts";
import { LogCommand, logFlags } from "../../logs/log-command.ts";

export default class VmLogs extends LogCommand<typeof VmLogs> {
  static override summary = "Show what a VM wrote to its console, and its monitor's words";
  static override aliases = ["vm:log"];
  static override examples = [
    "<%= config.bin %> vm logs web --tail 100",
    "<%= config.bin %> vm logs web -f",
  ];
  static override args = { vm: vmArg };
  static override flags = logFlags;

  async run(): Promise<void> {
    const { vm } = this.args;
    const client = await this.connect();
    await this.showLog(
      {
        page: (input) => client.vm.logs.query({ vm, ...input }),
        follow: (input, signal) => client.vm.followLogs.subscribe({ vm, ...input }, { signal }),
      },
      this.flags,
    );
  }
}
