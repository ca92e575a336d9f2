import { inspect } from "node:util";
import { isQueztlError, type QueztlError } from "@queztl/errors";
import { EXIT_CODES, exitCodeOf } from "./exit-codes.ts";
import { printable } from "./view/printable.ts";
import type { Page } from "./view/view.ts";

/** A failure as it is told to people and programs. */
export interface Report {
  readonly exitCode: number;
  readonly message: string;
  /** What to do next, where the message does not say it. */
  readonly hint?: string;
  readonly code?: string;
}

/** What to do about a code, where the server's message cannot know the command line. */
const HINTS: Readonly<Record<string, string>> = {
  QZ_API_UNREACHABLE:
    "`qctl status` says which server is meant; `qctl up` starts one here; `qctl doctor` looks for what is wrong",
  QZ_API_RESPONSE_INVALID: "`qctl config view` shows the address that is used",
  QZ_API_TOKEN_INVALID: "give another token with `qctl config set NAME --token TOKEN`",
  QZ_API_TOKEN_MISSING: "give a token with `qctl config set NAME --token TOKEN`",
  QZ_API_SCOPE_MISSING:
    "ask for a token with that scope: `qctl token create NAME --scope SCOPE` by someone who has it",
  QZ_HYPERVISOR_AGENT_COMMAND:
    "a shell takes words as one: `qctl vm exec VM -- sh -c 'WORDS'`; other images have other programs: `qctl image list`",
  QZ_API_INTERNAL: "the server's log has the cause",
};

const THINGS: Readonly<Record<string, string>> = {
  vm: "vm list",
  task: "task list",
  node: "node list",
  image: "image list",
  token: "token list",
  setting: "setting list",
};

/** Tells a failure's exit code, words and way out. */
export function reportOf(failure: unknown): Report {
  if (isQueztlError(failure)) {
    const { code, status } = failure;
    const message = parseMessage(failure.message);
    const hint = HINTS[code] ?? hintOf(failure);
    return { exitCode: exitCodeOf(status), message, code, ...(hint === undefined ? {} : { hint }) };
  }
  if (!(failure instanceof Error)) return { exitCode: 1, message: inspect(failure) };
  if (isParseFailure(failure)) {
    return { exitCode: EXIT_CODES.usage.code, message: parseMessage(failure.message) };
  }
  const exit = exitOf(failure);
  return { exitCode: exit ?? EXIT_CODES.internal.code, message: failure.message };
}

/** A report as lines for standard error. */
export function reportText({ message, hint, code }: Report, bin: string, { paint }: Page): string {
  const tail = code === undefined ? "" : ` ${paint("dim", `[${code}]`)}`;
  const head = `${paint(["red", "bold"], `${bin}:`)} ${printable(message)}${tail}`;
  return hint === undefined ? head : `${head}\n${paint("dim", "→")} ${hint}`;
}

/** A failure with everything behind it, for `--debug`. */
export function debugText(failure: unknown): string {
  const lines: string[] = [];
  for (let at: unknown = failure, depth = 0; at !== undefined && depth < 8; depth += 1) {
    const text = at instanceof Error ? (at.stack ?? at.message) : inspect(at);
    lines.push(depth === 0 ? text : `caused by ${text}`);
    if (isQueztlError(at)) lines.push(`details ${detailsText(at)}`);
    at = at instanceof Error ? at.cause : undefined;
  }
  return printable(lines.join("\n"));
}

const detailsText = ({ code, status, details }: QueztlError): string =>
  JSON.stringify({ code, status, ...details }, (_, value: unknown) =>
    typeof value === "bigint" ? String(value) : value,
  );

function hintOf(failure: QueztlError): string | undefined {
  const { status, details } = failure;
  const { kind } = details;
  const list = typeof kind === "string" ? THINGS[kind.toLowerCase()] : undefined;
  if (status === "not-found" && list !== undefined) return `\`qctl ${list}\` shows what there is`;
  return undefined;
}

/** oclif's failures of a command line; they are known by this field, not by a class. */
const isParseFailure = (failure: Error): boolean => "parse" in failure || exitOf(failure) === 2;

function exitOf(failure: Error): number | undefined {
  const oclif: unknown = "oclif" in failure ? failure.oclif : undefined;
  return typeof oclif === "object" && oclif !== null && "exit" in oclif
    ? Number(oclif.exit)
    : undefined;
}

// oclif wraps what a flag's parser throws, and ends with words that are said better below.
const parseMessage = (message: string): string =>
  message
    .replace(/\n?See more help with --help$/, "")
    // How flags with several values are told from arguments, told to somebody who gave neither.
    .replace(/\n+Note: [^]*$/, "")
    .replace(/^Missing \d+ required args?:\s*/, "what is missing: ")
    .replace(/^The following errors? occurred:\s*/, "")
    .replace(/^Parsing (\S+) \n\t(.*)/s, (_, flag: string, said: string) =>
      said.startsWith(flag) ? said : `${flag}: ${said}`,
    )
    .trim();
