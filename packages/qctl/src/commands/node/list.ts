import { QueztlCommand, watchFlag } from "../../command.ts";
import { limitFlag } from "../../command-line/args.ts";
import { collect, type ListPage } from "../../command-line/pages.ts";
import type { ClusterNode } from "../../resources.ts";
import { nodeListView } from "../../view/cluster.ts";

export default class NodeList extends QueztlCommand<typeof NodeList> {
  static override summary = "List nodes";
  static override aliases = ["node:ls"];
  static override examples = ["<%= config.bin %> node list"];
  static override flags = { limit: limitFlag, watch: watchFlag };

  async run(): Promise<ListPage<ClusterNode>> {
    const { limit, watch } = this.flags;
    const client = await this.connect();
    const read = () => collect(limit, (page) => client.node.list.query(page));
    if (watch) return this.present(nodeListView, read, true);
    return this.showList(nodeListView, await read(), "no nodes");
  }
}
