import { QueztlCommand, watchFlag } from "../../command.ts";
import { nodeArg } from "../../command-line/args.ts";
import type { ClusterNode } from "../../resources.ts";
import { nodeView } from "../../view/cluster.ts";

export default class NodeGet extends QueztlCommand<typeof NodeGet> {
  static override summary = "Show a node";
  static override aliases = ["node:show", "node:describe", "node:inspect"];
  static override examples = ["<%= config.bin %> node get local"];
  static override args = { node: nodeArg };
  static override flags = { watch: watchFlag };

  async run(): Promise<ClusterNode> {
    const client = await this.connect();
    const { node } = this.args;
    return this.present(nodeView, () => client.node.get.query({ node }), this.flags.watch);
  }
}
