import { Flags } from "@oclif/core";
import { QueztlCommand } from "../../command.ts";
import { limitFlag } from "../../command-line/args.ts";
import { collect, type ListPage } from "../../command-line/pages.ts";
import type { Token } from "../../resources.ts";
import { tokenListView } from "../../view/token.ts";

export default class TokenList extends QueztlCommand<typeof TokenList> {
  static override summary = "List tokens, without their secrets";
  static override aliases = ["token:ls"];
  static override examples = ["<%= config.bin %> token list"];
  static override flags = {
    revoked: Flags.boolean({ default: false, summary: "Also those that were revoked" }),
    limit: limitFlag,
  };

  async run(): Promise<ListPage<Token>> {
    const { revoked, limit } = this.flags;
    const client = await this.connect();
    const list = await collect(limit, (page) => client.token.list.query({ revoked, ...page }));
    return this.showList(tokenListView, list, "no tokens");
  }
}
