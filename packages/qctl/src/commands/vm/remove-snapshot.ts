import { QueztlCommand, yesFlag } from "../../command.ts";
import { snapshotArg, vmArg } from "../../command-line/args.ts";
import type { Snapshot } from "../../resources.ts";
import { snapshotView } from "../../view/vm.ts";

export default class VmRemoveSnapshot extends QueztlCommand<typeof VmRemoveSnapshot> {
  static override summary = "Delete a snapshot";
  static override aliases = ["vm:delete-snapshot"];
  static override examples = ["<%= config.bin %> vm remove-snapshot web before-upgrade --yes"];
  static override args = { vm: vmArg, snapshot: snapshotArg };
  static override flags = { yes: yesFlag };

  async run(): Promise<Snapshot> {
    const { vm, snapshot } = this.args;
    await this.confirm(`Delete the snapshot ${snapshot} of ${vm}?`, this.flags.yes);
    const client = await this.connect();
    const removed = await client.vm.removeSnapshot.mutate({ vm, snapshot });
    this.say(`the snapshot ${removed.name} is deleted`);
    return this.format === "text" ? removed : this.show(snapshotView, removed);
  }
}
