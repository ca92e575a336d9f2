import { QueztlCommand } from "../../command.ts";
import { nodeArg } from "../../command-line/args.ts";
import type { ClusterNode } from "../../resources.ts";
import { nodeView } from "../../view/cluster.ts";

export default class NodeCordon extends QueztlCommand<typeof NodeCordon> {
  static override summary = "Keep new VMs from a node";
  static override examples = ["<%= config.bin %> node cordon rack-2"];
  static override args = { node: nodeArg };

  async run(): Promise<ClusterNode> {
    const client = await this.connect();
    const { node } = this.args;
    return this.show(nodeView, await client.node.cordon.mutate({ node, cordoned: true }));
  }
}
