import { QueztlCommand } from "../../command.ts";
import { limitFlag, vmArg } from "../../command-line/args.ts";
import { collect, type ListPage } from "../../command-line/pages.ts";
import type { Snapshot } from "../../resources.ts";
import { snapshotListView } from "../../view/vm.ts";

export default class VmSnapshots extends QueztlCommand<typeof VmSnapshots> {
  static override summary = "List the snapshots of a VM, the newest first";
  static override examples = ["<%= config.bin %> vm snapshots web"];
  static override args = { vm: vmArg };
  static override flags = { limit: limitFlag };

  async run(): Promise<ListPage<Snapshot>> {
    const { vm } = this.args;
    const client = await this.connect();
    const list = await collect(this.flags.limit, (page) =>
      client.vm.snapshots.query({ vm, ...page }),
    );
    const nothing = `no snapshots; \`qctl vm snapshot ${vm}\` takes one`;
    return this.showList(snapshotListView, list, nothing);
  }
}
