import { QueztlCommand, watchFlag } from "../../command.ts";
import type { BrainStatus } from "../../resources.ts";
import { brainStatusView } from "../../view/brain.ts";

export default class BrainStatusCommand extends QueztlCommand<typeof BrainStatusCommand> {
  static override summary = "Show how the brain is doing";
  static override examples = ["<%= config.bin %> brain status"];
  static override flags = { watch: watchFlag };

  async run(): Promise<BrainStatus> {
    const client = await this.connect();
    return this.present(brainStatusView, () => client.brain.status.query({}), this.flags.watch);
  }
}
