import type { QueztlClient } from "@queztl/api/client";
import { vmsArg } from "../../command-line/args.ts";
import type { Vm } from "../../resources.ts";
import { VmActionCommand } from "../../vm/action-command.ts";

export default class VmReset extends VmActionCommand<typeof VmReset> {
  static override summary = "Press a VM's reset button: it boots anew and loses what is in memory";
  static override examples = ["<%= config.bin %> vm reset web"];
  static override args = { vm: vmsArg };
  protected readonly doing = "resetting";
  protected readonly goal = ["running"] as const;

  protected act(client: QueztlClient, vm: string, signal: AbortSignal): Promise<Vm> {
    return client.vm.reset.mutate({ vm }, { signal });
  }

  async run(): Promise<readonly Vm[]> {
    return this.actOnAll(this.args.vm);
  }
}
