import { durationFlag, QueztlCommand, yesFlag } from "../../command.ts";
import { nodeArg } from "../../command-line/args.ts";
import type { ClusterNode } from "../../resources.ts";
import { nodeView } from "../../view/cluster.ts";

export default class NodeDrain extends QueztlCommand<typeof NodeDrain> {
  static override summary = "Cordon a node and move what runs on it elsewhere";
  static override examples = ["<%= config.bin %> node drain rack-2 --deadline 5m"];
  static override args = { node: nodeArg };
  static override flags = {
    deadline: durationFlag({
      default: 600,
      summary: "How long running tasks may go on before they are moved",
    }),
    yes: yesFlag,
  };

  async run(): Promise<ClusterNode> {
    const { node } = this.args;
    await this.confirm(`Move everything away from ${node}?`, this.flags.yes);
    const client = await this.connect();
    const deadlineSeconds = Math.round(this.flags.deadline);
    const call = client.node.drain.mutate({ node, deadlineSeconds });
    return this.show(nodeView, await this.busy(`draining ${node}`, call));
  }
}
