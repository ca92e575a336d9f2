/**
 * The command line of Queztl, for whoever adds commands to it: the base command with its client, and
 * what its own commands are made of.
 */
export { QueztlCommand, durationFlag, watchFlag, yesFlag } from "./command.ts";
export type { CommandArgs, CommandFlags } from "./command.ts";
export { runCli } from "./cli.ts";
export type { CliPlace } from "./cli.ts";
export { collect } from "./command-line/pages.ts";
export type { ListPage } from "./command-line/pages.ts";
export { resolveTarget } from "./context/target.ts";
export type { Target, TargetWishes } from "./context/target.ts";
export { contextsPath, queztlHome, readContexts, writeContexts } from "./context/contexts.ts";
export type { Context, Contexts } from "./context/contexts.ts";
export { qctlErrors } from "./errors.ts";
export { EXIT_CODES, exitCodeOf } from "./exit-codes.ts";
export type { ExitCode } from "./exit-codes.ts";
export type { LiveRegion } from "./session/live-region.ts";
export { parseDuration, parseMebibytes } from "./session/quantities.ts";
export { waitFor } from "./session/wait.ts";
export type { WaitOptions } from "./session/wait.ts";
export { renderDetails } from "./view/details.ts";
export type { Detail } from "./view/details.ts";
export { listView } from "./view/list-view.ts";
export type { Items, ListViewOptions } from "./view/list-view.ts";
export { paintState } from "./view/paint.ts";
export type { Paint } from "./view/paint.ts";
export { printable, printableLine } from "./view/printable.ts";
export { renderTable } from "./view/table.ts";
export type { Column } from "./view/table.ts";
export { age, byteSize, duration, mebibytes, percent } from "./view/units.ts";
export { OUTPUT_FORMATS, rendered } from "./view/view.ts";
export type { OutputFormat, Page, View } from "./view/view.ts";
