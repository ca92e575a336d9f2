import { QueztlCommand, yesFlag } from "../../command.ts";
import { nodeArg } from "../../command-line/args.ts";
import type { ClusterNode } from "../../resources.ts";
import { nodeView } from "../../view/cluster.ts";

export default class NodeRemove extends QueztlCommand<typeof NodeRemove> {
  static override summary = "Remove a node that has no VMs";
  static override aliases = ["node:rm", "node:delete"];
  static override examples = ["<%= config.bin %> node remove rack-2 --yes"];
  static override args = { node: nodeArg };
  static override flags = { yes: yesFlag };

  async run(): Promise<ClusterNode> {
    const { node } = this.args;
    await this.confirm(`Remove the node ${node}?`, this.flags.yes);
    const client = await this.connect();
    const removed = await client.node.remove.mutate({ node });
    this.say(`the node ${removed.name} is removed`);
    return this.format === "text" ? removed : this.show(nodeView, removed);
  }
}
