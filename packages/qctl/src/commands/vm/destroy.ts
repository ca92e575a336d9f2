import { Flags } from "@oclif/core";
import type { QueztlClient } from "@queztl/api/client";
import { yesFlag } from "../../command.ts";
import { vmsArg } from "../../command-line/args.ts";
import type { Vm } from "../../resources.ts";
import { VmActionCommand } from "../../vm/action-command.ts";

export default class VmDestroy extends VmActionCommand<typeof VmDestroy> {
  static override summary = "Destroy a VM with its disks and snapshots";
  static override aliases = ["vm:rm", "vm:delete", "vm:remove"];
  static override examples = [
    "<%= config.bin %> vm destroy web",
    "<%= config.bin %> vm rm web db --force --yes",
  ];
  static override args = { vm: vmsArg };
  static override flags = {
    force: Flags.boolean({ char: "f", default: false, summary: "Also while it runs" }),
    yes: yesFlag,
  };
  protected readonly doing = "destroying";
  protected readonly goal = ["destroyed"] as const;

  protected act(client: QueztlClient, vm: string, signal: AbortSignal): Promise<Vm> {
    return client.vm.destroy.mutate({ vm, force: this.flags.force }, { signal });
  }

  async run(): Promise<readonly Vm[]> {
    const { vm } = this.args;
    await this.confirm(`Destroy ${vm.join(", ")}, with all disks and snapshots?`, this.flags.yes);
    return this.actOnAll(vm);
  }
}
