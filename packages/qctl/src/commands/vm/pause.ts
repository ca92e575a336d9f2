import type { QueztlClient } from "@queztl/api/client";
import { vmsArg } from "../../command-line/args.ts";
import type { Vm } from "../../resources.ts";
import { VmActionCommand } from "../../vm/action-command.ts";

export default class VmPause extends VmActionCommand<typeof VmPause> {
  static override summary = "Halt a running VM where it is";
  static override examples = ["<%= config.bin %> vm pause web"];
  static override args = { vm: vmsArg };
  protected readonly doing = "pausing";
  protected readonly goal = ["paused"] as const;

  protected act(client: QueztlClient, vm: string, signal: AbortSignal): Promise<Vm> {
    return client.vm.pause.mutate({ vm }, { signal });
  }

  async run(): Promise<readonly Vm[]> {
    return this.actOnAll(this.args.vm);
  }
}
