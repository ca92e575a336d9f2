import type { QueztlClient } from "@queztl/api/client";
import { vmsArg } from "../../command-line/args.ts";
import type { Vm } from "../../resources.ts";
import { VmActionCommand } from "../../vm/action-command.ts";

export default class VmStart extends VmActionCommand<typeof VmStart> {
  static override summary = "Start a stopped or crashed VM";
  static override examples = ["<%= config.bin %> vm start web"];
  static override args = { vm: vmsArg };
  protected readonly doing = "starting";
  protected readonly goal = ["running"] as const;

  protected act(client: QueztlClient, vm: string, signal: AbortSignal): Promise<Vm> {
    return client.vm.start.mutate({ vm }, { signal });
  }

  async run(): Promise<readonly Vm[]> {
    return this.actOnAll(this.args.vm);
  }
}
