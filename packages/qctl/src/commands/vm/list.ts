import { Flags } from "@oclif/core";
import type { InputOf } from "@queztl/api";
import { QueztlCommand, watchFlag } from "../../command.ts";
import { limitFlag } from "../../command-line/args.ts";
import { collect, type ListPage } from "../../command-line/pages.ts";
import type { Vm } from "../../resources.ts";
import { vmListView } from "../../view/vm.ts";

const STATES = ["creating", "running", "paused", "stopped", "crashed", "destroyed"] as const;

export default class VmList extends QueztlCommand<typeof VmList> {
  static override summary = "List VMs, the newest first";
  static override aliases = ["vm:ls", "vm:ps"];
  static override examples = [
    "<%= config.bin %> vm list",
    "<%= config.bin %> vm list --state running --watch",
    { description: "Their names, for scripts", command: "<%= config.bin %> vm list -o name" },
  ];
  static override flags = {
    state: Flags.option({ options: STATES, multiple: true, multipleNonGreedy: true })({
      char: "s",
      summary: "Only in this state; all but destroyed unless given",
    }),
    all: Flags.boolean({ char: "a", default: false, summary: "Also those that are destroyed" }),
    node: Flags.string({ helpValue: "NODE", summary: "Only on this node" }),
    limit: limitFlag,
    watch: watchFlag,
  };

  async run(): Promise<ListPage<Vm>> {
    const { state, all, node, limit, watch } = this.flags;
    const client = await this.connect();
    const states = state ?? (all ? [...STATES] : undefined);
    const wanted: InputOf<"vm.list"> = {
      ...(states === undefined ? {} : { states }),
      ...(node === undefined ? {} : { node }),
    };
    const read = () => collect(limit, (page) => client.vm.list.query({ ...wanted, ...page }));
    if (watch) return this.present(vmListView, read, true);
    const list = await read();
    return this.showList(
      vmListView,
      list,
      "no VMs; `qctl vm create NAME --purpose TEXT` makes one",
    );
  }
}
