import { QueztlCommand, watchFlag } from "../command.ts";
import type { Stats } from "../resources.ts";
import { statsView } from "../view/cluster.ts";

export default class StatsCommand extends QueztlCommand<typeof StatsCommand> {
  static override summary = "Show how the whole is doing";
  static override examples = ["<%= config.bin %> stats", "<%= config.bin %> stats --watch"];
  static override flags = { watch: watchFlag };

  async run(): Promise<Stats> {
    const client = await this.connect();
    return this.present(statsView, () => client.stats.get.query({}), this.flags.watch);
  }
}
