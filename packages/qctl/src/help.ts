import { type Command, Help } from "@oclif/core";

/** oclif's help without a line for each alias: those are told with their command. */
export default class QctlHelp extends Help {
  protected override get sortedCommands(): Command.Loadable[] {
    const aliases = new Set(this.config.commands.flatMap((command) => command.aliases));
    return super.sortedCommands.filter(({ id }) => !aliases.has(id));
  }
}
