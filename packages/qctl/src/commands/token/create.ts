import { Args, Flags } from "@oclif/core";
import type { InputOf } from "@queztl/api";
import { durationFlag, QueztlCommand } from "../../command.ts";
import { severalFlag } from "../../command-line/args.ts";
import type { CreatedToken } from "../../resources.ts";
import { createdTokenView } from "../../view/token.ts";

type Scope = InputOf<"token.create">["scopes"][number];

export default class TokenCreate extends QueztlCommand<typeof TokenCreate> {
  static override summary = "Make a token; its secret is shown this once";
  static override description =
    "Scopes are a resource and read, write or exec, such as vm:read, task:write or vm:exec; admin is all of them.";
  static override examples = [
    "<%= config.bin %> token create ci --scope task:write --scope file:write --expires 30d",
    "<%= config.bin %> config set ci --server URL --token $(<%= config.bin %> token create ci -s task:write)",
  ];
  static override args = { name: Args.string({ required: true, description: "What it is for" }) };
  static override flags = {
    scope: severalFlag({ char: "s", helpValue: "SCOPE", summary: "What it may do" }),
    admin: Flags.boolean({ default: false, summary: "It may do everything" }),
    expires: durationFlag({ summary: "When it ends, such as 30d; never unless given" }),
  };

  async run(): Promise<CreatedToken> {
    const { scope, admin, expires } = this.flags;
    const client = await this.connect();
    // The server knows its scopes, and says which of these are none.
    const scopes = (
      admin ? ["admin", ...scope] : scope.flatMap((each) => each.split(","))
    ) as Scope[];
    const ends = expires === undefined ? undefined : new Date(Date.now() + expires * 1000);
    const created = await client.token.create.mutate({
      name: this.args.name,
      scopes,
      ...(ends === undefined ? {} : { expiresAt: ends.toISOString() }),
    });
    this.say(`the token ${created.token.id}; its secret is shown this once`);
    return this.show(createdTokenView, created);
  }
}
