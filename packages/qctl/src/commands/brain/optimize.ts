import { Flags } from "@oclif/core";
import { QueztlCommand } from "../../command.ts";
import type { Optimisation } from "../../resources.ts";
import { optimisationView } from "../../view/brain.ts";

export default class BrainOptimize extends QueztlCommand<typeof BrainOptimize> {
  static override summary = "Run the optimisation cycle now";
  static override aliases = ["brain:optimise"];
  static override examples = ["<%= config.bin %> brain optimize --dry-run"];
  static override flags = {
    "dry-run": Flags.boolean({ default: false, summary: "Only say what would be done" }),
  };

  async run(): Promise<Optimisation> {
    const client = await this.connect();
    const call = client.brain.optimize.mutate({ dryRun: this.flags["dry-run"] });
    return this.show(optimisationView, await this.busy("looking for what could be better", call));
  }
}
