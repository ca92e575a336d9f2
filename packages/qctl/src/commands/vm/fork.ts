import { Args } from "@oclif/core";
import { QueztlCommand } from "../../command.ts";
import { vmArg } from "../../command-line/args.ts";
import type { Vm } from "../../resources.ts";
import { vmView } from "../../view/vm.ts";
import { settle } from "../../vm/settle.ts";

export default class VmFork extends QueztlCommand<typeof VmFork> {
  static override summary = "Make a second VM of one as it is now, with an identity of its own";
  static override aliases = ["vm:clone"];
  static override examples = ["<%= config.bin %> vm fork web web-2"];
  static override args = {
    vm: vmArg,
    name: Args.string({ description: "The new VM's name; made up unless given" }),
  };

  async run(): Promise<Vm> {
    const { vm, name } = this.args;
    const client = await this.connect();
    const { signal, timeoutSeconds } = this;
    const call = client.vm.fork.mutate({ vm, ...(name === undefined ? {} : { name }) }, { signal });
    const goal: Vm["state"][] = ["running", "paused", "stopped"];
    // Without a name of its own a lost fork could not be found again.
    const made =
      name === undefined ? call : settle(call, { client, vm: name, goal, signal, timeoutSeconds });
    return this.show(vmView, await this.busy(`forking ${vm}`, made));
  }
}
