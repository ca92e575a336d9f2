/** Writes docs/qctl.md from the commands themselves: `node --conditions=@queztl/source packages/qctl/scripts/reference.ts`. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Command, Interfaces } from "@oclif/core";
import { format } from "prettier";
import { loadConfig } from "../src/cli.ts";
import { QueztlCommand } from "../src/command.ts";

const root = join(import.meta.dirname, "..");

/** Where the reference is kept. */
export const REFERENCE = join(root, "../../docs/qctl.md");

/** All commands of qctl itself, as a document. */
export async function commandReference(config: Interfaces.Config): Promise<string> {
  const aliases = new Set(config.commands.flatMap((command) => command.aliases));
  const own = config.commands
    .filter(
      ({ id, hidden, pluginName }) =>
        !hidden && !aliases.has(id) && pluginName === config.pjson.name,
    )
    .sort((a, b) => a.id.localeCompare(b.id));
  const global = new Set(Object.keys(QueztlCommand.baseFlags));
  const [first] = own;
  const parts = [
    "# qctl: all commands",
    "<!-- Written by packages/qctl/scripts/reference.ts from the commands themselves; a test compares it. -->",
    `What all commands have in common, exit codes and plugins: [the package's README](../packages/qctl/README.md).`,
    "## Flags of every command",
    ...(first === undefined ? [] : [flagsText(first, (name) => global.has(name))]),
    ...own.flatMap((command) => commandText(command, global, config.bin)),
  ];
  return format(`${parts.join("\n\n")}\n`, { parser: "markdown", printWidth: 100 });
}

function commandText(
  command: Command.Loadable,
  global: ReadonlySet<string>,
  bin: string,
): string[] {
  const { id, summary, description, aliases, args, usage, examples = [] } = command;
  const spoken = id.replaceAll(":", " ");
  const words = Object.values(args).map(({ name, required, multiple }) => {
    const word = `${name.toUpperCase()}${multiple === true ? "..." : ""}`;
    return required === true ? word : `[${word}]`;
  });
  const flags = flagsText(command, (name) => !global.has(name));
  const line =
    typeof usage === "string"
      ? usage
      : [spoken, ...words, ...(flags === "" ? [] : ["[FLAGS]"])].join(" ");
  const shown = examples.map((example) => {
    const { command: text, description: about } =
      typeof example === "string" ? { command: example, description: undefined } : example;
    return `${about === undefined ? "" : `# ${about}\n`}${text.replaceAll("<%= config.bin %>", bin)}`;
  });
  const also = aliases.map((alias) => `\`${bin} ${alias.replaceAll(":", " ")}\``).join(", ");
  return [
    `## ${bin} ${spoken}`,
    `${summary}.`,
    ...(description === undefined ? [] : [description]),
    `\`\`\`\n${bin} ${line}\n\`\`\``,
    ...(aliases.length === 0 ? [] : [`Also ${also}.`]),
    ...Object.values(args).map((arg) => `- \`${arg.name.toUpperCase()}\`: ${arg.description}`),
    ...(flags === "" ? [] : [flags]),
    ...(shown.length === 0 ? [] : [`\`\`\`sh\n${shown.join("\n")}\n\`\`\``]),
  ];
}

function flagsText({ flags }: Command.Loadable, wanted: (name: string) => boolean): string {
  return Object.entries(flags)
    .filter(([name, { hidden }]) => wanted(name) && hidden !== true)
    .map(([name, flag]) => {
      const value = flag.type === "option" ? `=${String(flag.helpValue ?? "VALUE")}` : "";
      const long = flag.type === "boolean" && flag.allowNo ? `--[no-]${name}` : `--${name}`;
      const char = flag.char === undefined ? "" : `\`-${flag.char}\`, `;
      const options =
        flag.type === "option" && flag.options !== undefined ? `: ${flag.options.join(", ")}` : "";
      const standard: unknown = flag.default;
      const tells =
        typeof standard === "number" || (typeof standard === "string" && standard !== "");
      const given = tells ? ` (${String(standard)} unless given)` : "";
      const several = flag.type === "option" && flag.multiple === true ? ", several times" : "";
      return `- ${char}\`${long}${value}\`: ${flag.summary}${name === "output" ? "" : options}${several}${given}`;
    })
    .join("\n");
}

if (import.meta.main) {
  const sources = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as object;
  const config = await loadConfig({ root: `${root}/`, sources });
  writeFileSync(REFERENCE, await commandReference(config));
}
