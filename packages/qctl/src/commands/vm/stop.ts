import type { QueztlClient } from "@queztl/api/client";
import { Flags } from "@oclif/core";
import { durationFlag } from "../../command.ts";
import { vmsArg } from "../../command-line/args.ts";
import type { Vm } from "../../resources.ts";
import { VmActionCommand } from "../../vm/action-command.ts";

export default class VmStop extends VmActionCommand<typeof VmStop> {
  static override summary = "Shut a VM down, or cut its power";
  static override aliases = ["vm:halt", "vm:shutdown"];
  static override examples = [
    "<%= config.bin %> vm stop web",
    {
      description: "Cut the power of all that run",
      command:
        "<%= config.bin %> vm list --state running -o name | xargs <%= config.bin %> vm stop --now",
    },
  ];
  static override args = { vm: vmsArg };
  static override flags = {
    grace: durationFlag({
      summary: "How long the guest may take to shut down before its power is cut",
      default: 30,
      exclusive: ["now"],
    }),
    now: Flags.boolean({ default: false, summary: "Cut the power at once" }),
  };
  protected readonly doing = "stopping";
  protected readonly goal = ["stopped"] as const;

  protected act(client: QueztlClient, vm: string, signal: AbortSignal): Promise<Vm> {
    const graceSeconds = this.flags.now ? 0 : this.flags.grace;
    return client.vm.stop.mutate({ vm, graceSeconds }, { signal });
  }

  async run(): Promise<readonly Vm[]> {
    return this.actOnAll(this.args.vm);
  }
}
