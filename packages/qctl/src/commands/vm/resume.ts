import type { QueztlClient } from "@queztl/api/client";
import { vmsArg } from "../../command-line/args.ts";
import type { Vm } from "../../resources.ts";
import { VmActionCommand } from "../../vm/action-command.ts";

export default class VmResume extends VmActionCommand<typeof VmResume> {
  static override summary = "Let a paused VM go on";
  static override examples = ["<%= config.bin %> vm resume web"];
  static override args = { vm: vmsArg };
  protected readonly doing = "resuming";
  protected readonly goal = ["running"] as const;

  protected act(client: QueztlClient, vm: string, signal: AbortSignal): Promise<Vm> {
    return client.vm.resume.mutate({ vm }, { signal });
  }

  async run(): Promise<readonly Vm[]> {
    return this.actOnAll(this.args.vm);
  }
}
