import { Flags } from "@oclif/core";
import { isQueztlError } from "@queztl/errors";
import { durationFlag, QueztlCommand } from "../../command.ts";
import { collect } from "../../command-line/pages.ts";
import type { Items } from "../../view/list-view.ts";
import { vmTopView, type VmUse } from "../../view/vm.ts";

type Key = "cpu" | "memory" | "name";

const ORDER: Readonly<Record<Key, (a: VmUse, b: VmUse) => number>> = {
  cpu: (a, b) => (b.stats?.cpuShare ?? -1) - (a.stats?.cpuShare ?? -1),
  memory: (a, b) => (b.stats?.memoryMib ?? -1) - (a.stats?.memoryMib ?? -1),
  name: (a, b) => a.vm.name.localeCompare(b.vm.name),
};

export default class VmTop extends QueztlCommand<typeof VmTop> {
  static override summary = "Show what VMs use, again and again on a terminal until q or Ctrl-C";
  static override aliases = ["vm:stats"];
  static override examples = [
    "<%= config.bin %> vm top",
    "<%= config.bin %> vm top --once --sort memory -o json",
  ];
  static override flags = {
    sort: Flags.option({ options: ["cpu", "memory", "name"] as const })({
      default: "cpu",
      summary: "What comes first",
    }),
    every: durationFlag({ default: 2, summary: "How often to look" }),
    once: Flags.boolean({ default: false, summary: "Look once, also on a terminal" }),
    limit: Flags.integer({
      char: "l",
      default: 50,
      min: 1,
      max: 500,
      summary: "Show at most this many",
    }),
  };

  async run(): Promise<Items<VmUse>> {
    const client = await this.connect();
    const { sort, once, limit, every } = this.flags;
    const read = async (): Promise<Items<VmUse>> => {
      const { items } = await collect(limit, (page) => client.vm.list.query(page));
      const uses = items.map(async (vm): Promise<VmUse> => {
        if (vm.state !== "running" && vm.state !== "paused") return { vm, stats: null };
        try {
          return { vm, stats: await client.vm.stats.query({ vm: vm.id }) };
        } catch (failure) {
          // It may stop between the two calls.
          if (isQueztlError(failure) && failure.status !== "unauthorised")
            return { vm, stats: null };
          throw failure;
        }
      });
      return { items: (await Promise.all(uses)).sort(ORDER[sort]) };
    };
    const watch = process.stdout.isTTY && !once;
    if (watch) return this.present(vmTopView, read, true, Math.max(0.2, every) * 1000);
    return this.showList(vmTopView, await read(), "no VMs");
  }
}
