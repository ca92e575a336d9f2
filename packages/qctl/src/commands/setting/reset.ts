import { Args } from "@oclif/core";
import { QueztlCommand } from "../../command.ts";
import type { Setting } from "../../resources.ts";
import { settingView } from "../../view/cluster.ts";

export default class SettingReset extends QueztlCommand<typeof SettingReset> {
  static override summary = "Put a setting of the server back to its default";
  static override aliases = ["setting:unset"];
  static override examples = ["<%= config.bin %> setting reset optimize.everySeconds"];
  static override args = { setting: Args.string({ required: true, description: "The setting" }) };

  async run(): Promise<Setting> {
    const client = await this.connect();
    return this.show(settingView, await client.config.reset.mutate({ key: this.args.setting }));
  }
}
