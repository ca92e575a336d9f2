import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Errors, type Interfaces, run } from "@oclif/core";
import { vi } from "vitest";
import { loadConfig } from "../../src/cli.ts";
import { reportOf, reportText } from "../../src/failure.ts";
import { pageOf } from "../../src/session/terminal.ts";

/** What a command line did. */
export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

export const root = join(import.meta.dirname, "../..");

let loaded: Promise<Interfaces.Config> | undefined;

/** The commands, loaded from their sources once. */
export const commandsOf = (): Promise<Interfaces.Config> =>
  (loaded ??= loadConfig({
    root: `${root}/`,
    sources: JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as object,
  }));

/** Command lines that this file's tests have run. */
const typed: (readonly string[])[] = [];

/** Notes a command line that is run. */
export const typing = (argv: readonly string[]): void => void typed.push(argv);

/** The package's own commands that no command line of this file's tests was for. */
export async function untyped(): Promise<string[]> {
  const { commands, pjson } = await commandsOf();
  const aliases = new Set(commands.flatMap((command) => command.aliases));
  return commands
    .filter(({ id, pluginName }) => pluginName === pjson.name && !aliases.has(id))
    .map(({ id }) => id.split(":"))
    .filter((words) => !typed.some((argv) => words.every((word, at) => argv[at] === word)))
    .map((words) => words.join(" "));
}

/** Runs one command line in this process; its streams are no terminals. */
export async function qctl(...argv: string[]): Promise<Outcome> {
  typing(argv);
  const config = await commandsOf();
  const written = { stdout: "", stderr: "" };
  const catching = (["stdout", "stderr"] as const).map((name) =>
    vi.spyOn(process[name], "write").mockImplementation((chunk, ...rest) => {
      written[name] += typeof chunk === "string" ? chunk : Buffer.from(chunk).toString("utf8");
      const told = rest.find((each) => typeof each === "function");
      told?.();
      return true;
    }),
  );
  // oclif's help goes through the console.
  const logging = vi.spyOn(console, "log").mockImplementation((text: string) => {
    written.stdout += `${text}\n`;
  });
  process.exitCode = undefined;
  try {
    await run(argv, config);
    return { ...written, code: exitCodeNow() };
  } catch (failure) {
    if (failure instanceof Errors.ExitError) return { ...written, code: failure.oclif.exit ?? 0 };
    const report = reportOf(failure);
    written.stderr += reportText(report, "qctl", pageOf(process.stderr, {}));
    return { ...written, code: report.exitCode };
  } finally {
    process.exitCode = undefined;
    for (const each of [...catching, logging]) each.mockRestore();
  }
}

const exitCodeNow = (): number => Number(process.exitCode ?? 0);

/** A home of its own for a test file. */
export function temporaryHome(): { readonly path: string; readonly remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), "qctl-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
