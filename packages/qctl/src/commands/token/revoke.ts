import { Args } from "@oclif/core";
import { QueztlCommand, yesFlag } from "../../command.ts";
import type { Token } from "../../resources.ts";
import { tokenView } from "../../view/token.ts";

export default class TokenRevoke extends QueztlCommand<typeof TokenRevoke> {
  static override summary = "Revoke a token: it is not accepted any more";
  static override aliases = ["token:rm", "token:remove"];
  static override examples = ["<%= config.bin %> token revoke TOKEN --yes"];
  static override args = { token: Args.string({ required: true, description: "The token's id" }) };
  static override flags = { yes: yesFlag };

  async run(): Promise<Token> {
    const { token } = this.args;
    await this.confirm(`Revoke ${token}?`, this.flags.yes);
    const client = await this.connect();
    const revoked = await client.token.revoke.mutate({ token });
    this.say(`the token ${revoked.name} is revoked`);
    return this.format === "text" ? revoked : this.show(tokenView, revoked);
  }
}
