import { Flags } from "@oclif/core";
import type { QueztlClient } from "@queztl/api/client";
import { yesFlag } from "../../command.ts";
import { vmsArg } from "../../command-line/args.ts";
import type { Vm } from "../../resources.ts";
import { VmActionCommand } from "../../vm/action-command.ts";

const RUNS: readonly Vm["state"][] = ["creating", "running", "paused"];

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
  /** Whether somebody who was told that they run said yes. */
  #meant = false;
  protected readonly doing = "destroying";
  protected readonly goal = ["destroyed"] as const;

  protected act(client: QueztlClient, vm: string, signal: AbortSignal): Promise<Vm> {
    return client.vm.destroy.mutate({ vm, force: this.flags.force || this.#meant }, { signal });
  }

  async run(): Promise<readonly Vm[]> {
    const { vm } = this.args;
    if (!this.flags.yes) {
      await this.confirm(
        `Destroy ${await this.#described(vm)}, with all disks and snapshots?`,
        false,
      );
      this.#meant = true;
    }
    return this.actOnAll(vm);
  }

  /** The VMs, and which of them run. */
  async #described(vms: readonly string[]): Promise<string> {
    const client = await this.connect();
    const described = vms.map(async (vm) => {
      const found = await client.vm.get.query({ vm }).catch((failure: unknown) => {
        if (vms.length === 1) throw failure;
        return undefined;
      });
      if (found === undefined || !RUNS.includes(found.state)) return vm;
      return `${vm}, which is ${found.state}`;
    });
    return (await Promise.all(described)).join(", and ");
  }
}
