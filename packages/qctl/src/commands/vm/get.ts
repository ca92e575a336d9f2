import { QueztlCommand, watchFlag } from "../../command.ts";
import { vmArg } from "../../command-line/args.ts";
import type { Vm } from "../../resources.ts";
import { vmView } from "../../view/vm.ts";

export default class VmGet extends QueztlCommand<typeof VmGet> {
  static override summary = "Show a VM";
  static override aliases = ["vm:show", "vm:describe", "vm:inspect"];
  static override examples = [
    "<%= config.bin %> vm get web",
    "<%= config.bin %> vm get web -o yaml",
  ];
  static override args = { vm: vmArg };
  static override flags = { watch: watchFlag };

  async run(): Promise<Vm> {
    const client = await this.connect();
    const { vm } = this.args;
    return this.present(vmView, () => client.vm.get.query({ vm }), this.flags.watch);
  }
}
