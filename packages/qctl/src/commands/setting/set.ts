import { Args, Flags } from "@oclif/core";
import { QueztlCommand } from "../../command.ts";
import type { Setting } from "../../resources.ts";
import { settingView } from "../../view/cluster.ts";

export default class SettingSet extends QueztlCommand<typeof SettingSet> {
  static override summary = "Change a setting of the server";
  static override examples = ["<%= config.bin %> setting set optimize.everySeconds 120"];
  static override args = {
    setting: Args.string({ required: true, description: "The setting" }),
    value: Args.string({ required: true, description: "A number, true, false, or a text" }),
  };
  static override flags = {
    text: Flags.boolean({ default: false, summary: "The value is a text, whatever it looks like" }),
  };

  async run(): Promise<Setting> {
    const { setting: key, value: text } = this.args;
    const client = await this.connect();
    const value = this.flags.text ? text : settingValue(text);
    const setting = await client.config.set.mutate({ key, value });
    if (setting.restart) this.say("it takes effect at the server's next start");
    return this.show(settingView, setting);
  }
}

/** What a text stands for: numbers and truth values are not texts. */
function settingValue(text: string): string | number | boolean {
  if (text === "true" || text === "false") return text === "true";
  return text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
}
