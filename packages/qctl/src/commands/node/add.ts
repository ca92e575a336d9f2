import { Args, Flags } from "@oclif/core";
import { QueztlCommand } from "../../command.ts";
import { severalFlag } from "../../command-line/args.ts";
import { parsePairs } from "../../command-line/pairs.ts";
import type { ClusterNode } from "../../resources.ts";
import { parseMebibytes } from "../../session/quantities.ts";
import { nodeView } from "../../view/cluster.ts";

const sizeFlag = Flags.custom<number>({
  parse: async (text, _context, { name }) => parseMebibytes(text, `--${name}`),
  helpValue: "SIZE",
});

export default class NodeAdd extends QueztlCommand<typeof NodeAdd> {
  static override summary = "Add a node";
  static override examples = ["<%= config.bin %> node add rack-2 --cpu 16 --memory 64G"];
  static override args = { id: Args.string({ required: true, description: "Its name" }) };
  static override flags = {
    cpu: Flags.integer({
      required: true,
      min: 1,
      helpValue: "N",
      summary: "Processors it may give to VMs",
    }),
    memory: sizeFlag({
      required: true,
      summary: "Memory it may give to VMs, in MiB or such as 64G",
    }),
    gpu: Flags.integer({ min: 0, default: 0, helpValue: "N", summary: "GPUs it may give to VMs" }),
    disk: sizeFlag({ summary: "Disk it may give to VMs; all there is unless given" }),
    label: severalFlag({ helpValue: "KEY=VALUE", summary: "A label of yours" }),
  };

  async run(): Promise<ClusterNode> {
    const { cpu, memory, gpu, disk, label } = this.flags;
    const client = await this.connect();
    const node = await client.node.add.mutate({
      name: this.args.id,
      cpu,
      memoryMib: memory,
      gpu,
      ...(disk === undefined ? {} : { diskMib: disk }),
      labels: parsePairs(label, "--label"),
    });
    return this.show(nodeView, node);
  }
}
