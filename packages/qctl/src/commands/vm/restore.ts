import { QueztlCommand, yesFlag } from "../../command.ts";
import { snapshotArg, vmArg } from "../../command-line/args.ts";
import type { Vm } from "../../resources.ts";
import { vmView } from "../../view/vm.ts";
import { settle } from "../../vm/settle.ts";

export default class VmRestore extends QueztlCommand<typeof VmRestore> {
  static override summary = "Put a VM back to a snapshot; what it is now is lost";
  static override examples = ["<%= config.bin %> vm restore web before-upgrade"];
  static override args = { vm: vmArg, snapshot: snapshotArg };
  static override flags = { yes: yesFlag };

  async run(): Promise<Vm> {
    const { vm, snapshot } = this.args;
    const question = `Put ${vm} back to ${snapshot}? What it is now is lost.`;
    await this.confirm(question, this.flags.yes);
    const client = await this.connect();
    const { signal, timeoutSeconds } = this;
    const call = client.vm.restore.mutate({ vm, snapshot }, { signal });
    const goal: Vm["state"][] = ["running", "paused", "stopped"];
    const settled = settle(call, { client, vm, goal, signal, timeoutSeconds });
    return this.show(vmView, await this.busy(`restoring ${vm}`, settled));
  }
}
