import { QueztlCommand } from "../command.ts";
import { type Candidate, complete, type CommandShape } from "../completion/complete.ts";
import { contextsPath, readContexts } from "../context/contexts.ts";
import { printableLine } from "../view/printable.ts";

const PATIENCE_SECONDS = 3;

export default class Complete extends QueztlCommand<typeof Complete> {
  static override summary = "Tell a shell what may stand at its cursor";
  static override hidden = true;
  static override strict = false;

  #words: string[] = [];

  protected override async init(): Promise<void> {
    // Everything after -- are the words of the line that is completed.
    this.#words = this.argv.slice(this.argv.indexOf("--") + 1);
    this.argv = [];
    await super.init();
  }

  async run(): Promise<void> {
    // A shell shows nothing that goes wrong here, and nothing is the right answer to it.
    const lines = await this.lines().catch(() => []);
    if (lines.length > 0) this.write(`${lines.join("\n")}\n`);
  }

  private async lines(): Promise<readonly string[]> {
    const words = this.#words;
    const aliases = new Set(this.config.commands.flatMap((command) => command.aliases));
    const own = this.config.commands.filter(({ id }) => !aliases.has(id));
    const commands: CommandShape[] = own.map((command) => ({
      id: command.id,
      aliases: command.aliases,
      hidden: command.hidden,
      summary: command.summary,
      args: Object.values(command.args).map(({ name, multiple }) => ({ name, multiple })),
      flags: Object.entries(command.flags).map(([name, flag]) => ({
        name,
        char: flag.char,
        type: flag.type,
        summary: flag.summary,
        hidden: flag.hidden,
        options: flag.type === "option" ? flag.options : undefined,
        multiple: flag.type === "option" ? flag.multiple : undefined,
      })),
    }));
    const found = complete(commands, this.config.topics, words);
    if (found.kind === "files") return [":files"];
    if (found.kind === "words") return found.candidates.map(line);
    if (found.thing === "context") {
      const { contexts } = readContexts(contextsPath(process.env));
      return Object.entries(contexts).map(([value, { server }]) =>
        line({ value, description: server }),
      );
    }
    const { createQueztlClient } = await import("@queztl/api/client");
    const { thingsOf } = await import("../completion/things.ts");
    const { server, token } = this.target;
    const client = createQueztlClient({ url: server, token, timeoutSeconds: PATIENCE_SECONDS });
    const current = words.at(-1) ?? "";
    const things = await thingsOf(client, found.thing, found.before);
    return things.filter(({ value }) => value.startsWith(current)).map(line);
  }
}

const line = ({ value, description }: Candidate): string =>
  description === undefined ? value : `${value}\t${printableLine(description).slice(0, 80)}`;
