import { Flags } from "@oclif/core";
import { collect, type Items, listView, percent, QueztlCommand, yesFlag } from "@queztl/qctl";

/** A VM and how busy it was of late. */
interface Idle {
  readonly name: string;
  readonly cpuShare: number;
}

const view = listView<Idle>({
  name: ({ name }) => name,
  columns: [
    { header: "NAME", text: ({ name }) => name, least: 10 },
    { header: "BUSY", text: ({ cpuShare }) => percent(cpuShare), right: true },
  ],
});

export default class VmIdle extends QueztlCommand<typeof VmIdle> {
  static override summary = "List running VMs that do nothing, or stop them";
  static override examples = [
    "<%= config.bin %> vm idle",
    "<%= config.bin %> vm idle --below 20 --stop",
  ];
  static override flags = {
    below: Flags.integer({
      default: 5,
      min: 1,
      max: 100,
      helpValue: "PERCENT",
      summary: "Busy less than this counts as idle",
    }),
    stop: Flags.boolean({ default: false, summary: "Stop them" }),
    yes: yesFlag,
  };

  async run(): Promise<Items<Idle>> {
    const { below, stop, yes } = this.flags;
    const client = await this.connect();
    const running = await collect(Infinity, (page) =>
      client.vm.list.query({ states: ["running"], ...page }),
    );
    const uses = running.items.map(async ({ id, name }): Promise<Idle> => {
      const { cpuShare } = await client.vm.stats.query({ vm: id });
      return { name, cpuShare };
    });
    const items = (await Promise.all(uses)).filter(({ cpuShare }) => cpuShare * 100 < below);
    await this.showList<Items<Idle>>(view, { items }, "every VM has something to do");
    if (stop && items.length > 0) {
      await this.confirm(`Stop ${items.map(({ name }) => name).join(", ")}?`, yes);
      for (const { name } of items) {
        await this.busy(`stopping ${name}`, client.vm.stop.mutate({ vm: name }));
        this.say(`${name} is stopped`);
      }
    }
    return { items };
  }
}
