import { Args } from "@oclif/core";
import { QueztlCommand } from "../../command.ts";
import { contextsPath, readContexts, writeContexts } from "../../context/contexts.ts";
import { contextNamed } from "../../context/target.ts";
import { contextListView, contextRows, type ContextRow } from "../../view/context.ts";
import type { Items } from "../../view/list-view.ts";

export default class ConfigUse extends QueztlCommand<typeof ConfigUse> {
  static override summary = "Use another context from now on";
  static override examples = ["<%= config.bin %> config use office"];
  static override args = { context: Args.string({ required: true, description: "Its name" }) };

  async run(): Promise<Items<ContextRow>> {
    const { context: name } = this.args;
    const path = contextsPath(process.env);
    const contexts = readContexts(path);
    contextNamed(contexts, name);
    const after = { ...contexts, current: name };
    writeContexts(path, after);
    const rows = contextRows(after, false).filter((row) => row.name === name);
    return this.show<Items<ContextRow>>(contextListView, { items: rows });
  }
}
