import { Flags } from "@oclif/core";
import { QueztlCommand } from "../../command.ts";
import { contextsPath, readContexts } from "../../context/contexts.ts";
import { contextListView, contextRows, type ContextRow } from "../../view/context.ts";
import type { Items } from "../../view/list-view.ts";

export default class ConfigView extends QueztlCommand<typeof ConfigView> {
  static override summary = "Show the contexts; * marks the one that is used";
  static override aliases = ["config:list", "config:ls", "config:get"];
  static override examples = ["<%= config.bin %> config view"];
  static override flags = {
    secrets: Flags.boolean({ default: false, summary: "Show tokens whole" }),
  };

  async run(): Promise<Items<ContextRow>> {
    const path = contextsPath(process.env);
    const rows = contextRows(readContexts(path), this.flags.secrets);
    const list = { items: rows };
    const nothing = `no contexts in ${path}; \`qctl up\` makes one, or \`qctl config set\``;
    return this.showList<Items<ContextRow>>(contextListView, list, nothing);
  }
}
