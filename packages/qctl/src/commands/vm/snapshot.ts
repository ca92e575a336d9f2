import { Args } from "@oclif/core";
import { QueztlCommand } from "../../command.ts";
import { vmArg } from "../../command-line/args.ts";
import type { Snapshot } from "../../resources.ts";
import { snapshotView } from "../../view/vm.ts";

export default class VmSnapshot extends QueztlCommand<typeof VmSnapshot> {
  static override summary = "Keep the whole state of a VM, to be restored later";
  static override examples = [
    "<%= config.bin %> vm snapshot web before-upgrade",
    "<%= config.bin %> vm restore web before-upgrade",
  ];
  static override args = {
    vm: vmArg,
    name: Args.string({ description: "The snapshot's name; made up unless given" }),
  };

  async run(): Promise<Snapshot> {
    const { vm, name } = this.args;
    const client = await this.connect();
    const { signal } = this;
    const call = client.vm.snapshot.mutate(
      { vm, ...(name === undefined ? {} : { name }) },
      { signal },
    );
    return this.show(snapshotView, await this.busy(`keeping the state of ${vm}`, call));
  }
}
