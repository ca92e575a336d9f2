import { Config, Errors, flush, type Interfaces, run, settings } from "@oclif/core";
import { nearest } from "./command-line/nearest.ts";
import { qctlErrors } from "./errors.ts";
import { debugText, reportOf, reportText } from "./failure.ts";
import { pageOf } from "./session/terminal.ts";

/** Where the command line is installed. */
export interface CliPlace {
  readonly root: string;
  /** The package's manifest where it runs from its sources. */
  readonly sources?: object | undefined;
}

/** Runs one command line to its end. Gives the exit code; throws nothing. */
export async function runCli(argv: readonly string[], place: CliPlace): Promise<number> {
  try {
    const config = await loadConfig(place);
    await run([...argv], config).catch((failure: unknown) => {
      throw unknownCommand(failure, argv, config) ?? failure;
    });
    await flush();
    return Number(process.exitCode ?? 0);
  } catch (failure) {
    if (failure instanceof Errors.ExitError) return failure.oclif.exit ?? 0;
    const report = reportOf(failure);
    process.stderr.write(`${reportText(report, "qctl", pageOf(process.stderr, process.env))}\n`);
    if (argv.includes("--debug")) process.stderr.write(`${debugText(failure)}\n`);
    return report.exitCode;
  }
}

/** The commands of this command line, its plugins included. */
export function loadConfig({ root, sources }: CliPlace): Promise<Interfaces.Config> {
  // Whatever NODE_ENV is: files are run as they are, never compiled on the way.
  settings.enableAutoTranspile = false;
  if (sources === undefined) return Config.load({ root });
  const pjson = sources as Interfaces.PJSON;
  const oclif = { ...pjson.oclif, commands: "./src/commands", helpClass: "./src/help" };
  return Config.load({ root, ignoreManifest: true, pjson: { ...pjson, oclif } });
}

/** The error for a command that there is not, with the one that was probably meant. */
function unknownCommand(failure: unknown, argv: readonly string[], config: Interfaces.Config) {
  const id =
    failure instanceof Error ? /^command (\S+) not found$/.exec(failure.message)?.[1] : undefined;
  if (id === undefined) return undefined;
  const spoken = (each: string) => each.replaceAll(":", config.topicSeparator);
  const known = config.commands
    .filter(({ hidden }) => !hidden)
    .flatMap((command) => [command.id, ...command.aliases]);
  // `vm lst web` is looked for as `vm:lst:web`: the words that a command can have are compared.
  const words = argv.filter((word) => !word.startsWith("-")).slice(0, 2);
  const meant = nearest(words.join(":"), known) ?? nearest(words[0] ?? id, known);
  const topic = config.topics.some(({ name }) => name === words[0]) ? `${words[0]} ` : "";
  const all = `\`${config.bin} ${topic}--help\` lists them`;
  const suggestion =
    meant === undefined ? `; ${all}` : `; did you mean \`${config.bin} ${spoken(meant)}\`?`;
  const command = `\`${config.bin} ${words.join(" ")}\``;
  return qctlErrors("QZ_QCTL_COMMAND_UNKNOWN", { command, suggestion });
}
