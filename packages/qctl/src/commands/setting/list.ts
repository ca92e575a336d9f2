import { Args } from "@oclif/core";
import { QueztlCommand } from "../../command.ts";
import type { Setting } from "../../resources.ts";
import { settingListView } from "../../view/cluster.ts";
import type { Items } from "../../view/list-view.ts";

export default class SettingList extends QueztlCommand<typeof SettingList> {
  static override summary = "Show the server's settings";
  static override aliases = ["setting:ls", "setting:get"];
  static override examples = [
    "<%= config.bin %> setting list",
    "<%= config.bin %> setting list optimize -o wide",
  ];
  static override args = {
    prefix: Args.string({ description: "Only settings whose name begins so" }),
  };

  async run(): Promise<Items<Setting>> {
    const { prefix } = this.args;
    const client = await this.connect();
    const settings = await client.config.get.query(prefix === undefined ? {} : { prefix });
    return this.showList<Items<Setting>>(settingListView, settings, "no such settings");
  }
}
